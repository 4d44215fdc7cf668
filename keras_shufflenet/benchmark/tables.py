"""The tables of README.md and docs/, written from registry, catalog and `results/*.csv`.

`python -m keras_shufflenet.benchmark.tables results README.md docs/models.md` writes them between
their marks, which are `<!-- table: KIND PATTERN ... -->` and `<!-- end -->`.
"""

import csv
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from keras_shufflenet import models, weights
from keras_shufflenet.benchmark.engines import CLASSES, OURS

MARK = re.compile(r"(<!-- table: (\w+)([^>]*) -->\n).*?(<!-- end -->)", re.DOTALL)
INT8_SUFFIX = "_int8.tflite"
PRECISIONS = ("float32", "int8")
POSE_COLUMNS = ("AP", "AP .5", "AP .75", "AR")
TASKS = ("classification", "pose")

Row = Mapping[str, str]


def write_tables(text: str, results: Path) -> str:
    """Return a page with the tables between its marks renewed.

    Args:
        text: a page with marks. The patterns of one are shell patterns of models' names; none
            stands for all classifiers.
        results: the folder of the csv files.

    Raises:
        ValueError: for a mark of a kind that there is not.
    """

    def renewed(mark: re.Match[str]) -> str:
        if mark[2] not in TABLES:
            raise ValueError(f"Tables are {', '.join(TABLES)}. Received: {mark[2]}")
        return f"{mark[1]}{TABLES[mark[2]](results, _names(mark[3].split()))}\n{mark[4]}"

    return MARK.sub(renewed, text)


def _names(patterns: Sequence[str]) -> list[str]:
    if not patterns:
        return models.list_models()
    known = [*models.list_models(), *models.list_models(task="pose")]
    return [name for name in known if any(fnmatch(name, pattern) for pattern in patterns)]


def models_table(results: Path, names: Sequence[str]) -> str:
    """Models: their cost, published and measured accuracy, latency."""
    measured, timed = read_rows(results / "imagenet.csv"), _our_rows(results / "latency.csv")
    head = (
        "name", "params", "MACs", "published", "of", "measured", "measured int8",
        "ms float32 / int8",
    )  # fmt: skip
    return _markdown(head, [_model_row(name, measured, timed) for name in names])


def files_table(results: Path, names: Sequence[str]) -> str:
    """Exported models: their size and latency."""
    timed = _our_rows(results / "latency.csv")
    head = ("name", "MB float32", "ms median / p90", "MB int8", "ms median / p90")
    rows = []
    for name in names:
        row = [f"`{name}`"]
        for precision in PRECISIONS:
            found = _latest(timed, model=name, precision=precision)
            size = f"{int(found['bytes']) / 1e6:.2f}" if found else ""
            times = f"{_ms(found)} / {float(found['p90_ms']):.1f}" if found else ""
            row += [size, times]
        rows.append(row)
    return _markdown(head, rows)


def peers_table(results: Path, names: Sequence[str]) -> str:
    """Medians of all engines on one thread, and ours over the best peer's of its class."""
    timed = [row for row in read_rows(results / "peers.csv") if row["threads"] == "1"]
    engines = list(dict.fromkeys(row["engine"] for row in timed))
    rows = []
    for name, precision in dict.fromkeys((row["model"], row["precision"]) for row in timed):
        key = {"model": name, "precision": precision}
        found = (_latest(timed, engine=engine, **key) for engine in engines)
        best = _ratio_to_best(timed, name, precision)
        rows.append((f"`{name}`", precision, *map(_ms, found), best))
    return _markdown(("", "", *engines, f"{OURS} / best peer"), rows)


def _ratio_to_best(timed: Sequence[Row], name: str, precision: str) -> str:
    """Our median over the least of the other engines' of the same class; empty without both."""
    ours = _latest(timed, model=name, engine=OURS, precision=precision)
    peers = {
        (row["engine"], row["precision"]): float(row["median_ms"])
        for row in timed  # a later row replaces an earlier one
        if (row["model"], CLASSES[row["precision"]]) == (name, precision) and row["engine"] != OURS
    }
    return f"{float(ours['median_ms']) / min(peers.values()):.2f}" if ours and peers else ""


def weights_table(results: Path, names: Sequence[str]) -> str:
    """What is published for models: figures, protocol, license, and where to get it."""
    head = ("weights", "published", "trained on", "resize → crop", "license", "file")
    return _markdown(
        head,
        [
            (
                f"`{entry.name}`",
                _published(entry),
                entry.preprocessing,
                " → ".join(
                    [*([str(entry.resize_size)] if entry.resize_size else []), _size(entry)]
                ),
                entry.license,
                f"[{entry.file}]({entry.url})" if entry.url else f"`{entry.file}`: {_steps(entry)}",
            )
            for name in names
            for entry in weights.list_weights(name)
        ],
    )


def trained_table(results: Path, names: Sequence[str]) -> str:
    """Pose estimators trained here: average precision with annotated boxes and flip test."""
    head = ("model", "people", *POSE_COLUMNS)
    return _markdown(
        head,
        [
            (
                f"`{row['model']}`",
                f"`{row['data']}`",
                *(f"{float(row[c]):.3f}" for c in POSE_COLUMNS),
            )
            for row in read_rows(results / "coco.csv")
        ],
    )


TABLES: Mapping[str, Callable[[Path, Sequence[str]], str]] = {
    "models": models_table,
    "files": files_table,
    "peers": peers_table,
    "weights": weights_table,
    "trained": trained_table,
}


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a results file; none if there is no such file."""
    if not path.is_file():
        return []
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def _model_row(name: str, measured: Sequence[Row], timed: Sequence[Row]) -> tuple[str, ...]:
    cost = models.MODEL_STATS.get(name)
    best = next(iter(weights.list_weights(name)), None)
    times = [_ms(_latest(timed, model=name, precision=precision)) for precision in PRECISIONS]
    return (
        f"`{name}`",
        f"{cost.params / 1e6:.2f} M" if cost else "",
        f"{cost.macs / 1e6:.0f} M" if cost else "",
        _published(best) if best else "",
        best.name.partition(".")[2] if best else "",
        _accuracy(measured, name),
        _accuracy(measured, f"{name}{INT8_SUFFIX}"),
        " / ".join(times) if all(times) else "",
    )


def _published(entry: weights.WeightsEntry) -> str:
    if entry.pckh is not None:
        return f"PCKh {entry.pckh:.3f}"
    if entry.ap is not None:
        return f"AP {entry.ap:.3f}, AR {entry.ar:.3f}"
    return f"{entry.top1:.2f} / {entry.top5:.2f}" if entry.top5 else f"{entry.top1:.2f}"


def _size(entry: weights.WeightsEntry) -> str:
    return " × ".join(map(str, entry.crop_size))


def _steps(entry: weights.WeightsEntry) -> str:
    """How to get a file by hand, with its addresses as links."""
    return re.sub(r"(https://[^\s;]+)", r"<\1>", entry.download_instructions or "")


def _our_rows(path: Path) -> list[dict[str, str]]:
    """Of what this package exports, on one thread."""
    return [row for row in read_rows(path) if (row["engine"], row["threads"]) == (OURS, "1")]


def _latest(rows: Iterable[Row], **wanted: str) -> Row | None:
    """The last row with the wanted values in its columns."""
    return next((row for row in reversed(list(rows)) if wanted.items() <= row.items()), None)


def _ms(row: Row | None) -> str:
    return f"{float(row['median_ms']):.1f}" if row else ""


def _accuracy(measured: Iterable[Row], model: str) -> str:
    row = _latest(measured, model=model)
    return f"{100 * float(row['top1']):.2f} / {100 * float(row['top5']):.2f}" if row else ""


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    for page in map(Path, sys.argv[2:]):
        text = write_tables(page.read_text(encoding="utf-8"), Path(sys.argv[1]))
        page.write_text(text, encoding="utf-8")
