"""The tables of README.md, written from the registry, the catalogue and `results/*.csv`.

`python -m keras_shufflenet.benchmark.tables README.md results` writes them between their marks.
"""

import csv
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from keras_shufflenet import models, weights

MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
INT8_SUFFIX = "_int8.tflite"
POSE_COLUMNS = ("AP", "AP .5", "AP .75", "AR")

Row = Mapping[str, str]


def write_tables(text: str, results: Path) -> str:
    """Return a page with the tables between its marks renewed.

    Args:
        text: a page with lines `<!-- table: NAME -->` and `<!-- end -->`.
        results: the folder of the csv files.

    Raises:
        ValueError: for a mark with another name than `models` or `pose`.
    """
    tables = {"models": models_table, "pose": pose_table}

    def renewed(mark: re.Match[str]) -> str:
        if mark[2] not in tables:
            raise ValueError(f"Tables are {', '.join(tables)}. Received: {mark[2]}")
        return f"{mark[1]}{tables[mark[2]](results)}\n{mark[3]}"

    return MARK.sub(renewed, text)


def models_table(results: Path) -> str:
    """Classifiers: their cost, published and measured accuracy."""
    measured = read_rows(results / "imagenet.csv")
    head = ("name", "params", "MACs", "published top-1 / top-5", "of", "measured", "measured int8")
    return _markdown(head, [_model_row(name, measured) for name in models.list_models()])


def pose_table(results: Path) -> str:
    """Trained pose estimators: average precision with annotated boxes and flip test."""
    rows = read_rows(results / "coco.csv")
    head = ("model", "people", *POSE_COLUMNS)
    return _markdown(
        head,
        [
            (
                f"`{row['model']}`",
                f"`{row['data']}`",
                *(f"{float(row[c]):.3f}" for c in POSE_COLUMNS),
            )
            for row in rows
        ],
    )


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a results file; none if there is no such file."""
    if not path.is_file():
        return []
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def _model_row(name: str, measured: Sequence[Row]) -> tuple[str, ...]:
    cost = models.COSTS[name]
    published = [entry for entry in weights.list_weights(name) if entry.top1 is not None]
    best = published[0] if published else None
    return (
        f"`{name}`",
        f"{cost.params / 1e6:.2f} M",
        f"{cost.macs / 1e6:.0f} M",
        f"{best.top1:.2f} / {best.top5:.2f}" if best and best.top5 else _top1(best),
        best.name.partition(".")[2] if best else "",
        _accuracy(measured, name),
        _accuracy(measured, f"{name}{INT8_SUFFIX}"),
    )


def _top1(entry: weights.Weights | None) -> str:
    return f"{entry.top1:.2f}" if entry else ""


def _accuracy(measured: Iterable[Row], model: str) -> str:
    """The latest figure of a model."""
    figures = [row for row in measured if row["model"] == model]
    if not figures:
        return ""
    return f"{100 * float(figures[-1]['top1']):.2f} / {100 * float(figures[-1]['top5']):.2f}"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    page = Path(sys.argv[1])
    text = write_tables(page.read_text(encoding="utf-8"), Path(sys.argv[2]))
    page.write_text(text, encoding="utf-8")
