r"""Write the weights of a trained model in float16, as the package carries its own networks.

    python weights_conversion/bundle_weights.py runs/pose/best.keras \
        keras_shufflenet/weights/bundled/pose_shufflenet_v2_x1_0_coco_256x192_light.weights.h5

Prints size and hash for the catalog. Weights that float16 cannot hold are an error.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_shufflenet._files import atomic_write, check_output


def halve(path: Path, output: Path) -> None:
    """Copy a `.weights.h5` file with its float32 datasets in float16.

    Raises:
        ValueError: If a value is not finite in float16.
    """
    with h5py.File(path) as source, h5py.File(output, "w", libver="latest") as target:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Group):
                copied = target.require_group(name)
            else:
                values = item[()]
                if values.dtype == np.float32:
                    values = values.astype(np.float16)
                    if not np.isfinite(values).all():
                        raise ValueError(f"float16 must hold the weights. Received: {name}")
                copied = target.create_dataset(name, data=values)
            copied.attrs.update(item.attrs)

        source.visititems(copy)
        target.attrs.update(source.attrs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path, help=".keras file")
    parser.add_argument("output", type=Path, help=".weights.h5 file to write")
    chosen = parser.parse_args(arguments)
    check_output("output", chosen.output, (".h5",))
    full = chosen.output.with_name("full.weights.h5")
    keras.saving.load_model(chosen.model, compile=False).save_weights(full)
    try:
        atomic_write(chosen.output, lambda beside: halve(full, beside))
    finally:
        full.unlink()
    content = chosen.output.read_bytes()
    print(f"{len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
