"""Compare the .tflite files that two versions of the package write, byte by byte.

Write the files with each version, then compare the folders::

    python tools/compare_exports.py write before     # with the old version installed
    python tools/compare_exports.py write after      # with the new one
    python tools/compare_exports.py compare before after

Weights and images are drawn from fixed seeds, so that every byte that differs was changed by the
code. Use the same versions of TensorFlow and Keras, on the same machine.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import numpy as np

SIZE = (64, 64)
PRECISIONS = ("float32", "int8")
CLASSIFIERS = (
    "shufflenet_v1_x1_0_g3",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x0_5_megvii",
    "shufflenet_v2_plus_small",
    "one_shot",
    "detnas_coco_fpn_300m",
    "mobilenet_v2_x1_0",
)
POSE_HEADS = ("deconv", "light", "fpn")


def randomize_weights(model: "keras.Model", seed: int = 0) -> "keras.Model":
    """Give every layer weights that keep the activations alive."""
    import keras
    import numpy as np

    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.moving_mean.shape
            if layer.gamma is not None:
                layer.gamma.assign(generator.uniform(0.8, 1.2, channels))
                layer.beta.assign(generator.normal(0, 0.2, channels))
            layer.moving_mean.assign(generator.normal(0, 0.1, channels))
            layer.moving_variance.assign(generator.uniform(0.5, 1.5, channels))
        elif hasattr(layer, "kernel"):
            *area, inputs, outputs = layer.kernel.shape
            variance = 4 / (inputs + outputs) / np.prod(area)
            if isinstance(layer, keras.layers.DepthwiseConv2D):
                variance = 1.3 / np.prod(area)
            layer.kernel.assign(generator.normal(0, np.sqrt(variance), layer.kernel.shape))
    return model


def smooth_images(count: int) -> "np.ndarray":
    """Draw images of blurred spots that hold whole numbers 0..255, (count, 64, 64, 3)."""
    import keras
    import numpy as np

    coarse = np.random.default_rng(0).uniform(0, 255, (count, 8, 8, 3)).astype(np.float32)
    return np.round(keras.ops.image.resize(coarse, SIZE, interpolation="bilinear"))


def networks() -> dict[str, Callable]:
    """Return the builder of each of the ten networks by its name."""
    import keras_shufflenet as ks

    def classifier(name: str) -> "keras.Model":
        return ks.create_model(name, weights=None, input_shape=(*SIZE, 3), classes=10)

    def pose(head: str) -> "keras.Model":
        return ks.PoseEstimator("shufflenet_v2_x1_0", head=head, input_size=SIZE, weights=None)

    built = {name: lambda name=name: classifier(name) for name in CLASSIFIERS}
    return built | {f"pose_{head}": lambda head=head: pose(head) for head in POSE_HEADS}


def write(folder: Path) -> None:
    """Write the files of all networks in float32 and int8, and a .keras file of each network."""
    import keras_shufflenet as ks

    folder.mkdir(parents=True, exist_ok=True)
    images = smooth_images(16)
    for name, build in networks().items():
        model = randomize_weights(build())
        model.save(folder / f"{name}.keras")
        for precision in PRECISIONS:
            path = folder / f"{name}_{precision}.tflite"
            ks.export.litert(model, path, precision, [images])
            print(path, flush=True)


def compare(before: Path, after: Path) -> int:
    """Print a row for each file; return how many differ."""
    names = sorted({path.name for folder in (before, after) for path in folder.glob("*.tflite")})
    different = 0
    for name in names:
        contents = [
            path.read_bytes() if (path := folder / name).exists() else b""
            for folder in (before, after)
        ]
        equal = contents[0] == contents[1]
        different += not equal
        digest = hashlib.sha256(contents[0]).hexdigest()[:12]
        print(f"{name:52} {len(contents[0]):10} {digest} {'equal' if equal else 'DIFFERENT'}")
    print(f"{len(names)} files, {different} different")
    return different or not names


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write").add_argument("folder", type=Path)
    comparison = commands.add_parser("compare")
    comparison.add_argument("before", type=Path)
    comparison.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "write":
        write(arguments.folder)
    else:
        sys.exit(min(1, compare(arguments.before, arguments.after)))


if __name__ == "__main__":
    main()
