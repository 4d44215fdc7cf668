"""`keras-shufflenet search latency-table`: measure what the blocks of a search space cost."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from keras_shufflenet._files import check_output
from keras_shufflenet.cli.options import import_tensorflow, parse_scales, parse_size

EXAMPLES = """
keras-shufflenet search latency-table one_shot latency.csv --precision int8
keras-shufflenet search latency-table one_shot pose.csv --head fpn --input-size 256x192 \
--precision int8 --plot pose.png
"""
SIZES = {"classifier": "224x224", "pose": "256x192"}


def latency_table(
    space: Annotated[
        str,
        typer.Argument(metavar="SPACE", help="one_shot, detnas_300m, detnas_1_3g or detnas_3_8g."),
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUT.csv", dir_okay=False, help="File to write.")
    ],
    channel_scales: Annotated[
        str, typer.Option(help="Channel scales of the space, like 0.6,1.0,1.4, or paper.")
    ] = "1.0",
    precision: Annotated[
        Literal["float32", "int8"], typer.Option(help="Precision of the exported files.")
    ] = "float32",
    threads: Annotated[int, typer.Option(min=1, help="Number of threads.")] = 1,
    head: Annotated[
        str | None,
        typer.Option(help="Head of a pose estimator: deconv, light or fpn. Default: a classifier."),
    ] = None,
    input_size: Annotated[
        str | None,
        typer.Option(
            help="HEIGHTxWIDTH of the input in pixels. Default: 224x224, 256x192 for poses."
        ),
    ] = None,
    classes: Annotated[int, typer.Option(min=1, help="Classes of the classifier.")] = 1000,
    networks: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Networks that the table is fitted to. Default: twice as many as necessary.",
        ),
    ] = None,
    held_out: Annotated[
        int, typer.Option(min=1, help="Random architectures that its error is measured on.")
    ] = 20,
    iterations: Annotated[int, typer.Option(min=1, help="Timed runs of each file.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the networks.")] = 0,
    results_csv: Annotated[
        Path | None, typer.Option(help="csv file to append the error of the table to.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Plot of predicted against measured latency to write.")
    ] = None,
) -> None:
    """Measure a latency table on this machine: milliseconds of each block in exported files.

    Networks are exported, about ten seconds each, and timed side by side. With one thread, CPU time
    is measured, which other processes hardly change. The latency of each network is written beside
    the table.
    """
    check_output("output", output, (".csv",))
    networks_file = output.with_suffix(".networks.csv")
    if results_csv is not None:
        check_output("results_csv", results_csv)
    scales = parse_scales(channel_scales)
    size = parse_size(input_size or SIZES["classifier" if head is None else "pose"])
    import_tensorflow()
    from rich.console import Console

    from keras_shufflenet._results import append_row
    from keras_shufflenet.search.exported_latency import Deployment
    from keras_shufflenet.search.latency_table import describe, measure_table
    from keras_shufflenet.search.plots import check_plot, draw_latencies
    from keras_shufflenet.search.spaces import PAPER_SCALES, search_space

    if plot is not None:
        check_plot("plot", plot)
    deployment = Deployment(
        space=search_space(space, scales or PAPER_SCALES),
        precision=precision,
        threads=threads,
        input_size=size,
        head=head,
        classes=classes,
    )
    measured = measure_table(deployment, networks, held_out, iterations, seed)
    measured.table.save(output)
    measured.save_networks(networks_file)
    error = measured.table.error
    if results_csv is not None:
        append_row(results_csv, describe(measured.table))
    if plot is not None:
        draw_latencies(measured, plot)
    Console().print(
        f"{error.held_out} random architectures, predicted against measured: "
        f"median error {error.median_error:.1%}, worst {error.worst_error:.1%} "
        f"(median of a line over multiply-adds: {error.macs_error:.1%})"
    )
    typer.echo(f"wrote {output} and {networks_file}")
