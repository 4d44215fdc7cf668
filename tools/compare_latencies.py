"""Compare the latency of exported networks, searched ones and others, by their CPU time.

    python tools/compare_latencies.py shufflenet_v2_x1_0 one_shot:00311100202110202132 \
        --head fpn --input-size 256x192 --precision int8 --results-csv results/searched_latency.csv

With one thread, other processes on the machine hardly change it; `keras-shufflenet benchmark`
measures wall time, beside other runtimes.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from keras_shufflenet._files import check_output
from keras_shufflenet._results import append_row
from keras_shufflenet.cli.options import parse_size
from keras_shufflenet.search import Deployment, search_space

PROGRAM = "python tools/compare_latencies.py"


def measure(
    deployment: Deployment, networks: list[str], iterations: int
) -> list[dict[str, float | str]]:
    """Return a row for each network: milliseconds, partitions, size of the file.

    Args:
        deployment: What is exported, and how it is run.
        networks: Names that `create_model` knows.
        iterations: Timed runs of each file.
    """
    ratios, base_ms = deployment.measure(networks, iterations)
    rows: list[dict[str, float | str]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.tflite"
        for network, ratio in zip(networks, ratios, strict=True):
            report = deployment.export(network, path)
            rows.append(
                {
                    "network": network,
                    "cpu_ms": float(ratio) * base_ms,
                    "partitions": str(report.delegate_partitions),
                    "bytes": str(path.stat().st_size),
                }
            )
    return rows


def main(
    networks: Annotated[list[str], typer.Argument(help="Names of classifiers or backbones.")],
    precision: Annotated[str, typer.Option(help="float32 or int8.")] = "int8",
    head: Annotated[str | None, typer.Option(help="Head of a pose estimator.")] = None,
    input_size: Annotated[str, typer.Option(help="HEIGHTxWIDTH in pixels.")] = "224x224",
    iterations: Annotated[int, typer.Option(min=1, help="Timed runs of each file.")] = 100,
    results_csv: Annotated[Path | None, typer.Option(help="csv file to append rows to.")] = None,
) -> None:
    """Measure networks with one thread, interleaved."""
    if results_csv is not None:
        check_output("results_csv", results_csv)
    size = parse_size(input_size)
    deployment = Deployment(
        space=search_space("one_shot"), precision=precision, input_size=size, head=head
    )
    table = Table("network", "CPU ms", "partitions", "MB")
    for row in measure(deployment, networks, iterations):
        size_mb = f"{int(row['bytes']) / 1e6:.2f}"
        table.add_row(str(row["network"]), f"{row['cpu_ms']:.3f}", str(row["partitions"]), size_mb)
        if results_csv is not None:
            about = {"precision": precision, "head": head or "", "input_size": input_size}
            append_row(results_csv, {**row, **about, "iterations": iterations}, PROGRAM)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
