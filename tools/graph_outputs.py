"""Compare what ONNX and OpenVINO files compute with the Keras models that they were exported from.

    python tools/graph_outputs.py --results-csv results/graphs.csv

One network of each structure in full size, on a random image. Weights are random, with statistics
of batch normalization that fit them.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import keras
import numpy as np
import onnxruntime
import openvino
import typer
from rich.console import Console

import keras_shufflenet as ks
from keras_shufflenet._results import append_row
from keras_shufflenet.benchmark.networks import normalize

PROGRAM = "python tools/graph_outputs.py"
NETWORKS = (
    *("shufflenet_v1_x1_0_g3", "shufflenet_v2_x1_0", "shufflenet_v2_x1_0_megvii"),
    *("shufflenet_v2_plus_small", "one_shot", "detnas_coco_fpn_300m", "mobilenet_v2_x1_0"),
)
HEADS = ("light", "deconv", "fpn")
DETECTORS = ("nanodet_m_416", "nanodet_plus_m_416")
IMAGES = 4  # for the statistics
COARSE = 8  # random images vary on such a grid, as photographs do


def models(chosen: list[str]) -> dict[str, Any]:
    """Return functions that build the networks, by name."""
    found: dict[str, Any] = {
        name: lambda name=name: ks.create_model(name, input_shape=(224, 224, 3))
        for name in NETWORKS
    }
    for head in HEADS:
        found[f"pose_shufflenet_v2_x1_0 {head}"] = lambda head=head: ks.PoseEstimator(
            "shufflenet_v2_x1_0", head=head, input_size=(256, 192)
        )
    found |= {name: lambda name=name: ks.create_model(name) for name in DETECTORS}
    return {name: found[name] for name in chosen or found}


def images_for(model: keras.Model) -> np.ndarray:
    """Return random images (n, height, width, 3) 0..255 of a model's input size."""
    _, height, width, _ = model.input_shape
    coarse = np.random.default_rng(0).uniform(0, 255, (IMAGES, COARSE, COARSE, 3))
    return np.asarray(keras.ops.image.resize(coarse.astype("float32"), (height, width)))


def run_onnx(path: Path, image: np.ndarray) -> np.ndarray:
    """Return the output of a file in ONNX Runtime."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": image})[0]


def run_openvino(path: Path, image: np.ndarray) -> np.ndarray:
    """Return the output of a file in OpenVINO, computed in float32."""
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(path, "CPU", settings)(image)[0]


def main(
    results_csv: Annotated[Path | None, typer.Option(help="csv file to append rows to.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Networks; all by default.")] = None,
) -> None:
    """Print the largest difference of each network and runtime."""
    for name, build in models(only or []).items():
        keras.utils.set_random_seed(0)
        model = build()
        images = images_for(model)
        normalize(model, images)
        image = images[:1]
        expected = keras.ops.convert_to_numpy(model(image))
        with TemporaryDirectory() as folder:
            found = {
                "ONNX Runtime": run_onnx(ks.export.onnx(model, f"{folder}/x.onnx"), image),
                "OpenVINO": run_openvino(ks.export.openvino(model, f"{folder}/x.xml"), image),
            }
        row: dict[str, float | str] = {"network": name}
        row |= {runtime: float(np.abs(x - expected).max()) for runtime, x in found.items()}
        row["largest output"] = float(np.abs(expected).max())
        Console().print(row)
        if results_csv is not None:
            append_row(results_csv, row, PROGRAM)


if __name__ == "__main__":
    typer.run(main)
