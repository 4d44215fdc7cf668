"""Grouped convolutions in LiteRT: one operator, or one convolution for each group.

    python -m keras_shufflenet.benchmark.grouped --results grouped.csv

ShuffleNetV1 is exported as it is and with every grouped convolution taken apart into slices,
convolutions and concatenations of four inputs at most. The files take turns.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import keras
import typer
from keras import layers
from rich.console import Console
from rich.table import Table

from keras_shufflenet._results import append_row
from keras_shufflenet.benchmark.interleaved import measure_interleaved
from keras_shufflenet.benchmark.networks import CALIBRATION_IMAGES, calibration

PROGRAM = "python -m keras_shufflenet.benchmark.grouped"
MODELS = ["shufflenet_v1_x0_5_g3", "shufflenet_v1_x1_0_g3", "shufflenet_v1_x1_0_g8"]
PRECISIONS = ("float32", "int8")
CONCAT_INPUTS = 4  # that XNNPACK takes


def take_apart(model: keras.Model) -> keras.Model:
    """The model with one convolution for each group, and the same weights."""

    def call(layer: keras.Layer, x: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, layers.Conv2D) and layer.groups > 1:
            return _convolve_groups(layer, x)
        return layer(x, *args, **kwargs)

    clone = keras.models.clone_model(model, call_function=call, clone_function=lambda layer: layer)
    return keras.Model(clone.inputs, clone.outputs, name=model.name)


def _convolve_groups(layer: layers.Conv2D, x: keras.KerasTensor) -> keras.KerasTensor:
    inputs, filters = x.shape[-1] // layer.groups, layer.filters // layer.groups
    parts = []
    for group in range(layer.groups):
        part = x[..., group * inputs : (group + 1) * inputs]
        conv = layers.Conv2D(filters, 1, use_bias=False, name=f"{layer.name}_group{group}")
        parts.append(conv(part))
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        conv.kernel.assign(kernel[..., group * filters : (group + 1) * filters])
    while len(parts) > 1:
        chunks = [parts[i : i + CONCAT_INPUTS] for i in range(0, len(parts), CONCAT_INPUTS)]
        parts = [keras.ops.concatenate(chunk, axis=-1) for chunk in chunks]
    return parts[0]


def main(
    models: Annotated[list[str], typer.Option("--model", help="Of ShuffleNetV1.")] = MODELS,
    rounds: Annotated[int, typer.Option(help="Turns of each file.")] = 100,
    results: Annotated[Path | None, typer.Option(help="csv file that gets rows.")] = None,
) -> None:
    """Measure ShuffleNetV1 with whole and with divided grouped convolutions on one thread."""
    import keras_shufflenet as ks
    from keras_shufflenet.litert.interpreter import open_interpreter

    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        people = ks.synthetic_people.create_dataset(folder, CALIBRATION_IMAGES, progress=False)
        for name in models:
            whole = ks.create_model(name)
            for kind, model in (("one", whole), ("each", take_apart(whole))):
                for precision in PRECISIONS:
                    path = Path(folder) / f"{name}_{precision}_{kind}.tflite"
                    ks.export.litert(model, path, precision, calibration(whole, people))
                    runs[f"{name} {precision} {kind}"] = open_interpreter(path, 1).invoke
        times = measure_interleaved(runs, rounds)
    table = Table("model", "precision", "one operator, ms", "one for each group, ms", "ratio")
    for name in models:
        for precision in PRECISIONS:
            one, each = (times[f"{name} {precision} {kind}"].median for kind in ("one", "each"))
            table.add_row(name, precision, f"{one:.2f}", f"{each:.2f}", f"{one / each:.2f}")
            if results is not None:
                row: dict[str, float | str] = {"model": name, "precision": precision}
                row |= {"one_ms": one, "each_ms": each, "ratio": one / each, "rounds": rounds}
                append_row(results, row, PROGRAM)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
