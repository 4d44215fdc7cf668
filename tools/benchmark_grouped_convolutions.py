"""Benchmark grouped convolutions in LiteRT: one operator against one convolution per group.

    python tools/benchmark_grouped_convolutions.py --results-csv results/grouped.csv

ShuffleNetV1 is exported as it is, and with every grouped convolution decomposed into slices,
convolutions and concatenations. Measurements are interleaved.
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

PROGRAM = "python tools/benchmark_grouped_convolutions.py"
MODELS = ["shufflenet_v1_x0_5_g3", "shufflenet_v1_x1_0_g3", "shufflenet_v1_x1_0_g8"]
PRECISIONS = ("float32", "int8")
CONCAT_INPUTS = 4  # XNNPACK takes no more


def decompose_groups(model: keras.Model) -> keras.Model:
    """Return the model with one convolution per group, and the same weights."""

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
    models: Annotated[
        list[str], typer.Option("--model", help="A ShuffleNetV1; repeatable.")
    ] = MODELS,
    iterations: Annotated[int, typer.Option(min=1, help="Timed runs of each file.")] = 100,
    results_csv: Annotated[Path | None, typer.Option(help="csv file to append rows to.")] = None,
) -> None:
    """Time ShuffleNetV1 with grouped and with decomposed convolutions on one thread."""
    import keras_shufflenet as ks
    from keras_shufflenet.litert.interpreter import open_interpreter

    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        people = ks.synthetic_people.create_dataset(folder, CALIBRATION_IMAGES, verbose=False)
        for name in models:
            whole = ks.create_model(name)
            for kind, model in (("one", whole), ("each", decompose_groups(whole))):
                for precision in PRECISIONS:
                    path = Path(folder) / f"{name}_{precision}_{kind}.tflite"
                    ks.export.litert(model, path, precision, calibration(whole, people))
                    runs[f"{name} {precision} {kind}"] = open_interpreter(path, 1).invoke
        times = measure_interleaved(runs, iterations)
    table = Table("model", "precision", "one operator, ms", "one per group, ms", "ratio")
    for name in models:
        for precision in PRECISIONS:
            one, each = (times[f"{name} {precision} {kind}"].median for kind in ("one", "each"))
            table.add_row(name, precision, f"{one:.2f}", f"{each:.2f}", f"{one / each:.2f}")
            if results_csv is not None:
                row: dict[str, float | str] = {"model": name, "precision": precision}
                row |= {"one_ms": one, "each_ms": each, "ratio": one / each, "rounds": iterations}
                append_row(results_csv, row, PROGRAM)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
