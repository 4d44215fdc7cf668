"""Files for ONNX Runtime and OpenVINO, of `keras-shufflenet export`."""

import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import typer

from keras_shufflenet.cli.options import import_tensorflow, open_network

# Suffix: the function of `export` that writes it.
WRITERS = {".onnx": "onnx", ".xml": "openvino"}
OPTIONS = ("weights", "data_format", "batch_size", "input_size", "labels", "keypoints")
ARGUMENTS = ("model", "output")


def defaults(command: Callable[..., Any]) -> dict[str, Any]:
    """Return the defaults of a command's parameters."""
    return {name: each.default for name, each in inspect.signature(command).parameters.items()}


def write_graph(
    model: str, output: Path, given: Collection[str], *, weights: str | None, **options: Any
) -> None:
    """Write a float32 graph.

    Args:
        model: The model as it was given.
        output: Path of the file.
        given: Names of the parameters that are not the default.
        weights: Weights of a model given by name.
        **options: Arguments of the function; None for the default.

    Raises:
        ValueError: If the user has given an option for `.tflite` files.
    """
    others = sorted(set(given) - {*OPTIONS, *ARGUMENTS})
    if others:
        allowed, received = (
            ", ".join(f"--{name.replace('_', '-')}" for name in names)
            for names in (OPTIONS, others)
        )
        raise ValueError(
            f"An {output.suffix} file is written in float32, with the options {allowed}. "
            f"Received: {received}"
        )
    import_tensorflow()
    import keras_shufflenet as ks

    network = open_network(model, weights)
    chosen = {name: value for name, value in options.items() if value is not None}
    path = getattr(ks.export, WRITERS[output.suffix])(network, output, **chosen)
    typer.echo(f"exported: {path}, {path.stat().st_size / 1e6:.2f} MB")
