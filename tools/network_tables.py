"""Tables of the networks: cost, published and measured accuracy, files and latency.

Each builder takes the folder of the csv files and shell patterns of model names, and returns
Markdown.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from keras_shufflenet import models, weights
from keras_shufflenet.benchmark.engines import COMPARED_WITH, DEFAULT_CONVERTER, OURS
from keras_shufflenet.weights.catalog_data import MEGVII_FILES
from result_rows import (
    Row,
    latest,
    markdown,
    matching,
    megabytes,
    ms,
    one_thread,
    our_rows,
    processor,
    read_rows,
)

INT8_SUFFIX = "_int8.tflite"
PRECISIONS = ("float32", "int8")
HEADLINE_ENGINES = (OURS, DEFAULT_CONVERTER, "ONNX Runtime", "OpenVINO")


def headline_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of int8 latency in LiteRT and in other runtimes; the fastest is bold."""
    timed = [row for row in one_thread(results / "runtimes.csv") if row["precision"] == "int8"]
    head = (
        "network", "top-1 published, %", "int8 file, MB",
        *(f"{engine}{' (this package)' * (engine == OURS)}, ms" for engine in HEADLINE_ENGINES),
    )  # fmt: skip
    rows = []
    for name in matching([row["model"] for row in timed], patterns):
        found = [latest(timed, model=name, engine=engine) for engine in HEADLINE_ENGINES]
        fastest = min(float(row["median_ms"]) for row in found if row)
        times = [
            f"**{ms(row)}**" if row and float(row["median_ms"]) == fastest else ms(row)
            for row in found
        ]
        published = [
            f"{100 * entry.top1:.1f}" for entry in weights.list_weights(name) if entry.top1
        ]
        rows.append((f"`{name}`", (*published, "")[0], megabytes(found[0]), *times))
    return (
        f"{markdown(head, rows)}\n\n"
        f"int8 latency of one image, median, on {processor(timed)}, not a phone."
    )


def models_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of classifiers: cost, published and measured accuracy, latency."""
    measured, timed = read_rows(results / "imagenet.csv"), our_rows(results / "latency.csv")
    images = " or ".join(sorted({row["count"] for row in measured}))
    here = f"{images} images (easier than val)"
    head = (
        "name", "params", "MACs", "top-1 / top-5 published, 50 000 images (val), %", "publisher",
        f"top-1 / top-5 here, {here}, %", f"int8 here, {here}, %",
        f"ms float32 / int8, {processor(timed)}",
    )  # fmt: skip
    rows = []
    for name in _model_names(patterns):
        entry = next(iter(weights.list_weights(name)), None)
        rows.append(
            (
                *_cost(name),
                _published(entry) if entry else "",
                _publisher(entry) if entry else "",
                _accuracy(measured, name),
                _accuracy(measured, f"{name}{INT8_SUFFIX}"),
                _times(timed, name),
            )
        )
    return markdown(head, rows)


def pose_models_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of pose estimators: cost, published metrics, latency."""
    timed = our_rows(results / "latency.csv")
    head = ("name", "params", "MACs", "published", "publisher")
    rows = []
    for name in _model_names(patterns):
        entry = next(iter(weights.list_weights(name)), None)
        published = (_published(entry), _publisher(entry)) if entry else ("", "")
        rows.append((*_cost(name), *published, _times(timed, name)))
    return markdown((*head, f"ms float32 / int8, {processor(timed)}"), rows)


def detectors_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of detectors: cost, input and published AP."""
    head = ("name", "params", "MACs", "input", "published")
    rows = []
    for name in _model_names(patterns):
        entry = weights.default_entry(name, "coco")
        rows.append((*_cost(name), " × ".join(map(str, entry.crop_size)), _published(entry)))
    return markdown(head, rows)


def files_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of exported models: size and latency."""
    timed = our_rows(results / "latency.csv")
    machine = processor(timed)
    head = ["name"]
    for precision in PRECISIONS:
        head += [f"MB {precision}", f"ms median / p90, {machine}"]
    rows = []
    for name in _model_names(patterns):
        row = [f"`{name}`"]
        for precision in PRECISIONS:
            found = latest(timed, model=name, precision=precision)
            times = f"{ms(found)} / {float(found['p90_ms']):.1f}" if found else ""
            row += [megabytes(found), times]
        rows.append(row)
    return markdown(head, rows)


def runtimes_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of medians in all runtimes, with our ratio to the fastest competitor."""
    timed = one_thread(results / "runtimes.csv")
    engines = list(dict.fromkeys(row["engine"] for row in timed))
    rows = []
    for name in matching([row["model"] for row in timed], patterns or ["*"]):
        for precision in dict.fromkeys(row["precision"] for row in timed if row["model"] == name):
            key = {"model": name, "precision": precision}
            found = (latest(timed, engine=engine, **key) for engine in engines)
            ratio = _ratio_to_fastest(timed, name, precision)
            rows.append((f"`{name}`", precision, *map(ms, found), ratio))
    return (
        f"{markdown(('network', 'precision', *engines, f'{OURS} / fastest competitor'), rows)}\n\n"
        f"Milliseconds of one image, median, on {processor(timed)}, not a phone. The last column "
        "is this package's time over that of the fastest competitor of the same precision, where "
        "bfloat16 counts as int8."
    )


def weights_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of published weights: metrics, preprocessing, license and file."""
    head = ("weights", "published", "trained on", "resize → crop", "license", "file")
    rows = []
    bundled = {entry.model for entry in weights.list_weights() if entry.is_bundled}
    for name in [*_model_names(patterns), *matching(sorted(bundled), patterns)]:
        for entry in weights.list_weights(name):
            sizes = [str(entry.resize_size)] if entry.resize_size else []
            sizes.append(" × ".join(map(str, entry.crop_size)))
            rows.append(
                (
                    f"`{entry.name}`",
                    _published(entry),
                    entry.preprocessing,
                    " → ".join(sizes),
                    entry.license,
                    _file(entry),
                )
            )
    return markdown(head, rows)


def _model_names(patterns: Sequence[str]) -> list[str]:
    if not patterns:
        return models.list_models()
    known = [
        *models.list_models(),
        *models.list_models(task="pose"),
        *models.list_models(task="detection"),
    ]
    return [name for name in known if any(fnmatch(name, pattern) for pattern in patterns)]


def _ratio_to_fastest(timed: Sequence[Row], name: str, precision: str) -> str:
    """Return our median over the fastest competitor's of the same precision, empty without both."""
    ours = latest(timed, model=name, engine=OURS, precision=precision)
    competitors = {
        (row["engine"], row["precision"]): float(row["median_ms"])
        for row in timed  # a later row replaces an earlier one
        if row["model"] == name
        and row["engine"] != OURS
        and COMPARED_WITH[row["precision"]] == precision
    }
    if not ours or not competitors:
        return ""
    return f"{float(ours['median_ms']) / min(competitors.values()):.2f}"


def _cost(name: str) -> tuple[str, str, str]:
    stats = models.MODEL_STATS.get(name)
    if stats is None:
        return f"`{name}`", "", ""
    return f"`{name}`", f"{stats.params / 1e6:.2f} M", f"{stats.macs / 1e6:.0f} M"


def _published(entry: weights.WeightsEntry) -> str:
    if entry.pckh is not None:
        return f"PCKh {entry.pckh:.3f}"
    if entry.ap is not None:
        recall = f", AR {entry.ar:.3f}" if entry.ar is not None else ""
        return f"AP {entry.ap:.3f}{recall}"
    if entry.top1 is None:
        return f"[model card]({Path(entry.source).relative_to('docs')})"
    top1 = f"{100 * entry.top1:.2f}"
    return f"{top1} / {100 * entry.top5:.2f}" if entry.top5 else top1


def _publisher(entry: weights.WeightsEntry) -> str:
    return entry.name.partition(".")[2]


def _file(entry: weights.WeightsEntry) -> str:
    """Return the file as a link, or its name with the path on the publisher's drive."""
    if entry.is_bundled:
        return "part of the package"
    if entry.url:
        return f"[{entry.file}]({entry.url})"
    on_drive = {file: path for _, _, file, path, *_ in MEGVII_FILES}.get(entry.file)
    known = on_drive and on_drive != entry.file
    return f"`{entry.file}` (there: `{on_drive}`)" if known else f"`{entry.file}`"


def _times(timed: Sequence[Row], name: str) -> str:
    times = [ms(latest(timed, model=name, precision=precision)) for precision in PRECISIONS]
    return " / ".join(times) if all(times) else ""


def _accuracy(measured: Iterable[Row], model: str) -> str:
    row = latest(measured, model=model)
    return f"{100 * float(row['top1']):.2f} / {100 * float(row['top5']):.2f}" if row else ""
