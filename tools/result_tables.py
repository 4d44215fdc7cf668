"""Build the tables of README.md and docs/ from the registry, the catalog and `results/*.csv`.

Each builder takes the folder of the csv files and shell patterns of model names, and returns
Markdown.
"""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from keras_shufflenet import models, weights
from keras_shufflenet.benchmark.engines import COMPARED_WITH, DEFAULT_CONVERTER, OURS
from keras_shufflenet.weights.catalog_data import MEGVII_FILES

INT8_SUFFIX = "_int8.tflite"
PRECISIONS = ("float32", "int8")
POSE_COLUMNS = ("AP", "AP .5", "AP .75", "AR")
BOX_COLUMNS = ("AP", "AP .5", "AP .75", "AP (S)", "AP (M)", "AP (L)")
HEADLINE_ENGINES = (OURS, DEFAULT_CONVERTER, "ONNX Runtime", "OpenVINO")
FORMER_NAMES = {"LiteRT, stock export": DEFAULT_CONVERTER}  # of engines, in rows of version 0.1

Row = Mapping[str, str]


def headline_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of int8 latency in LiteRT and in other runtimes; the fastest is bold."""
    timed = [row for row in one_thread(results / "runtimes.csv") if row["precision"] == "int8"]
    head = (
        "network", "top-1 published, %", "int8 file, MB",
        *(f"{engine}{' (this package)' * (engine == OURS)}, ms" for engine in HEADLINE_ENGINES),
    )  # fmt: skip
    rows = []
    for name in _matching([row["model"] for row in timed], patterns):
        found = [_latest(timed, model=name, engine=engine) for engine in HEADLINE_ENGINES]
        fastest = min(float(row["median_ms"]) for row in found if row)
        times = [
            f"**{_ms(row)}**" if row and float(row["median_ms"]) == fastest else _ms(row)
            for row in found
        ]
        published = [
            f"{100 * entry.top1:.1f}" for entry in weights.list_weights(name) if entry.top1
        ]
        rows.append((f"`{name}`", (*published, "")[0], _megabytes(found[0]), *times))
    return (
        f"{_markdown(head, rows)}\n\n"
        f"int8 latency of one image, median, on {_processor(timed)}, not a phone."
    )


def models_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of classifiers: cost, published and measured accuracy, latency."""
    measured, timed = read_rows(results / "imagenet.csv"), _our_rows(results / "latency.csv")
    images = " or ".join(sorted({row["count"] for row in measured}))
    here = f"{images} images (easier than val)"
    head = (
        "name", "params", "MACs", "top-1 / top-5 published, 50 000 images (val), %", "publisher",
        f"top-1 / top-5 here, {here}, %", f"int8 here, {here}, %",
        f"ms float32 / int8, {_processor(timed)}",
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
    return _markdown(head, rows)


def pose_models_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of pose estimators: cost, published metrics, latency."""
    timed = _our_rows(results / "latency.csv")
    head = ("name", "params", "MACs", "published", "publisher")
    rows = []
    for name in _model_names(patterns):
        entry = next(iter(weights.list_weights(name)), None)
        published = (_published(entry), _publisher(entry)) if entry else ("", "")
        rows.append((*_cost(name), *published, _times(timed, name)))
    return _markdown((*head, f"ms float32 / int8, {_processor(timed)}"), rows)


def detectors_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of detectors: cost, input and published AP."""
    head = ("name", "params", "MACs", "input", "published")
    rows = []
    for name in _model_names(patterns):
        entry = weights.default_entry(name, "coco")
        rows.append((*_cost(name), " × ".join(map(str, entry.crop_size)), _published(entry)))
    return _markdown(head, rows)


def persons_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of person detection here: the metrics of boxes."""
    rows = [
        (f"`{row['model']}`", f"`{row['data']}`", *(f"{float(row[c]):.3f}" for c in BOX_COLUMNS))
        for row in read_rows(results / "detection.csv")
    ]
    return _markdown(("model", "annotations", *BOX_COLUMNS), rows)


def files_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of exported models: size and latency."""
    timed = _our_rows(results / "latency.csv")
    processor = _processor(timed)
    head = ["name"]
    for precision in PRECISIONS:
        head += [f"MB {precision}", f"ms median / p90, {processor}"]
    rows = []
    for name in _model_names(patterns):
        row = [f"`{name}`"]
        for precision in PRECISIONS:
            found = _latest(timed, model=name, precision=precision)
            times = f"{_ms(found)} / {float(found['p90_ms']):.1f}" if found else ""
            row += [_megabytes(found), times]
        rows.append(row)
    return _markdown(head, rows)


def runtimes_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of medians in all runtimes, with our ratio to the fastest competitor."""
    timed = one_thread(results / "runtimes.csv")
    engines = list(dict.fromkeys(row["engine"] for row in timed))
    rows = []
    for name in _matching([row["model"] for row in timed], patterns or ["*"]):
        for precision in dict.fromkeys(row["precision"] for row in timed if row["model"] == name):
            key = {"model": name, "precision": precision}
            found = (_latest(timed, engine=engine, **key) for engine in engines)
            ratio = _ratio_to_fastest(timed, name, precision)
            rows.append((f"`{name}`", precision, *map(_ms, found), ratio))
    return (
        f"{_markdown(('network', 'precision', *engines, f'{OURS} / fastest competitor'), rows)}\n\n"
        f"Milliseconds of one image, median, on {_processor(timed)}, not a phone. The last column "
        "is this package's time over that of the fastest competitor of the same precision, where "
        "bfloat16 counts as int8."
    )


def weights_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of published weights: metrics, preprocessing, license and file."""
    head = ("weights", "published", "trained on", "resize → crop", "license", "file")
    rows = []
    bundled = {entry.model for entry in weights.list_weights() if entry.is_bundled}
    for name in [*_model_names(patterns), *_matching(sorted(bundled), patterns)]:
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
    return _markdown(head, rows)


def trained_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of pose estimators trained here: AP with annotated boxes and flip test."""
    rows = [
        (f"`{row['model']}`", f"`{row['data']}`", *_values(row, POSE_COLUMNS))
        for row in _pose_rows(results, patterns)
        if row["boxes"] == "annotated"
    ]
    return _markdown(("model", "annotations", *POSE_COLUMNS), rows)


def boxes_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of pose estimators with annotated boxes and with those of detectors."""
    rows = [
        (
            row["boxes"] if row["boxes"] == "annotated" else f"`{row['boxes']}`",
            *_values(row, POSE_COLUMNS),
        )
        for row in _pose_rows(results, patterns)
    ]
    return _markdown(("boxes", *POSE_COLUMNS), rows)


def _pose_rows(results: Path, patterns: Sequence[str]) -> list[Row]:
    rows = read_rows(results / "coco.csv")
    names = _matching([row["model"] for row in rows], patterns or ["*"])
    return [row for row in rows if row["model"] in names]


def _values(row: Row, columns: Sequence[str]) -> list[str]:
    return [f"{float(row[column]):.3f}" for column in columns]


def grouped_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of grouped convolutions: one operator against one per group."""
    timed = read_rows(results / "grouped.csv")
    rows = [
        (
            f"`{row['model']}`",
            row["precision"],
            *(f"{float(row[c]):.1f}" for c in ("one_ms", "each_ms")),
            f"{float(row['ratio']):.2f}",
        )
        for row in timed
    ]
    head = ("network", "precision", "one operator, ms", "one per group, ms", "ratio")
    return f"{_markdown(head, rows)}\n\nMedians on {_processor(timed)}."


def pipeline_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of the training pipeline: crops per second beside OpenCV."""
    timed = read_rows(results / "pipeline.csv")
    rows = [
        (
            row["people"],
            *(f"{float(row[f'{side}crops_per_second']):.0f}" for side in ("", "opencv_")),
            f"{float(row['ratio']):.2f}",
            *(f"{float(row[f'{side}cpu_ms_per_crop']):.2f}" for side in ("", "opencv_")),
        )
        for row in timed
    ]
    head = (
        "instances", "crops / s", "OpenCV, crops / s", "ratio", "CPU ms / crop",
        "OpenCV, CPU ms / crop",
    )  # fmt: skip
    cores = " or ".join(dict.fromkeys(row["cores"] for row in timed))
    return f"{_markdown(head, rows)}\n\nMedians on {_processor(timed, f'{cores} cores')}."


def classification_pipeline_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of the pipeline of classification beside a DataLoader of PyTorch."""
    timed = read_rows(results / "pipeline_classification.csv")
    rows = [
        (
            row["images"],
            *(f"{float(row[f'{side}crops_per_second']):.0f}" for side in ("", "pillow_")),
            f"{float(row['ratio']):.2f}",
            *(f"{float(row[f'{side}cpu_ms_per_crop']):.2f}" for side in ("", "pillow_")),
            f"{float(row['cpu_ratio']):.2f}",
        )
        for row in timed
    ]
    head = (
        "images", "crops / s", "DataLoader, crops / s", "ratio", "CPU ms / crop",
        "DataLoader, CPU ms / crop", "ratio of CPU time",
    )  # fmt: skip
    cores = " or ".join(dict.fromkeys(row["cores"] for row in timed))
    return f"{_markdown(head, rows)}\n\nMedians on {_processor(timed, f'{cores} cores')}."


def video_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of pose estimation on video: ids, and milliseconds of the processor."""
    timed = read_rows(results / "video.csv")
    names = _matching([row["pose"] for row in timed], patterns or ["*"])
    parts = ("decoding", "detector", "pose", "drawing", "encoding")
    rows = [
        (
            row["video"],
            row["detection_interval"],
            f"{int(row['detections']) / int(row['frames']):.2f}",
            row["id_switches"],
            f"{float(row['idf1']):.2f}",
            *(f"{float(row[f'{part}_cpu_ms']):.1f}" for part in parts),
            f"{float(row['cpu_frames_per_second']):.0f}",
        )
        for row in timed
        if row["pose"] in names
    ]
    head = ("video", "interval", "detections / frame", "id switches", "IDF1", *parts, "frames / s")
    cores = " or ".join(dict.fromkeys(row["cores"] for row in timed))
    machine = _processor(timed, f"{cores} cores")
    return (
        f"{_markdown(head, rows)}\n\nMilliseconds of CPU time of all threads for each frame, and "
        f"the frames per second that they make, on {machine} in use by other programs."
    )


def pictures_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of pose estimation of photographs: milliseconds by number of persons."""
    timed = read_rows(results / "pose_prediction.csv")
    columns = ("median_ms", "read_ms", "detect_ms", "crop_ms", "pose_ms")
    rows = [(row["persons"], *(f"{float(row[name]):.1f}" for name in columns)) for row in timed]
    head = ("persons", "whole, ms", "reading, ms", "detector, ms", "cropping, ms", "pose, ms")
    return f"{_markdown(head, rows)}\n\nMedians on {_processor(timed)}."


def ablation_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of short trainings of a pose estimator that differ in one ingredient."""
    rows = read_rows(results / "pose_ablation.csv")
    columns = ("AP", "AP .5", "AP .75")
    cells = [(row["training"], row["steps"], *_values(row, columns)) for row in rows]
    return _markdown(("training", "steps", *columns), cells)


def graphs_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of ONNX and OpenVINO files: largest difference from Keras."""
    columns = ("ONNX Runtime", "OpenVINO", "largest output")
    rows = [
        (f"`{row['network']}`", *(f"{float(row[column]):.1e}" for column in columns))
        for row in read_rows(results / "graphs.csv")
    ]
    return _markdown(("network", *columns), rows)


def browser_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of files in a browser: largest difference from Python."""
    columns = ("largest difference", "largest output")
    rows = [
        (f"`{row['file']}`", row["client"], *(f"{float(row[column]):.1e}" for column in columns))
        for row in read_rows(results / "browser.csv")
    ]
    return _markdown(("file", "client", *columns), rows)


def search_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of searches on synthetic people, judged by trainings of single networks."""
    head = (
        *("supernet AP", "candidates", "best of the first 50", "best", "winner alone"),
        *("8 random ones alone: median", "best", "Kendall's τ", "minutes"),
    )
    scores = ("first_generation_best", "best_score", "winner_ap", "median_random_ap")
    rows = [
        [f"{float(row['supernet_ap']):.3f}", row["candidates"]]
        + [f"{float(row[column]):.3f}" for column in (*scores, "best_random_ap")]
        + [f"{float(row['kendall_tau']):.2f}", f"{float(row['seconds']) / 60:.0f}"]
        for row in read_rows(results / "search.csv")
    ]
    return _markdown(head, rows)


def latency_tables_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of the errors of latency tables."""
    head = (
        *("space", "channel scales", "network", "precision", "networks measured"),
        *("median error", "worst", "median error of a line over multiply-adds", "processor"),
    )
    rows = []
    for row in read_rows(results / "latency_table.csv"):
        network = f"{row['head'] or 'classifier'}, {row['input_size'].replace('x', ' × ')}"
        errors = (row[column] for column in ("median_error", "worst_error", "macs_error"))
        rows.append(
            [
                *(f"`{row['space']}`", row["channel_scales"].replace(" ", ", "), network),
                *(row["precision"], f"{row['networks']} + {row['held_out']}"),
                *(f"{float(error):.1%}" for error in errors),
                row["processor"],
            ]
        )
    return _markdown(head, rows)


def searches_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of searches under a latency budget and under a limit of multiply-adds."""
    head = (
        *("search", "network", "score", "multiply-adds", "budget, ms", "predicted"),
        *("measured", "partitions"),
    )
    rows = []
    for row in read_rows(results / "searches.csv"):
        times = (row[column] for column in ("budget_ms", "predicted_ms", "measured_ms"))
        rows.append(
            [
                *(row["search"] or "none", f"`{row['network']}`"),
                f"{float(row['score']):.3f}" if row["score"] else "",
                f"{float(row['macs']) / 1e6:.1f} M" if row["macs"] else "",
                *(f"{float(time):.3f}" if time else "" for time in times),
                row["partitions"],
            ]
        )
    return _markdown(head, rows)


TABLES: Mapping[str, Callable[[Path, Sequence[str]], str]] = {
    "headline": headline_table,
    "models": models_table,
    "pose_models": pose_models_table,
    "detectors": detectors_table,
    "persons": persons_table,
    "files": files_table,
    "runtimes": runtimes_table,
    "pictures": pictures_table,
    "weights": weights_table,
    "trained": trained_table,
    "boxes": boxes_table,
    "grouped": grouped_table,
    "pipeline": pipeline_table,
    "classification_pipeline": classification_pipeline_table,
    "video": video_table,
    "ablation": ablation_table,
    "graphs": graphs_table,
    "browser": browser_table,
    "search": search_table,
    "latency_tables": latency_tables_table,
    "searches": searches_table,
}


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a results file; none if there is no such file."""
    if not path.is_file():
        return []
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    for row in rows:
        if "engine" in row:
            row["engine"] = FORMER_NAMES.get(row["engine"], row["engine"])
    return rows


def _model_names(patterns: Sequence[str]) -> list[str]:
    if not patterns:
        return models.list_models()
    known = [
        *models.list_models(),
        *models.list_models(task="pose"),
        *models.list_models(task="detection"),
    ]
    return [name for name in known if any(fnmatch(name, pattern) for pattern in patterns)]


def _matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that match patterns, in the order of the patterns, without duplicates."""
    known = list(names)
    return list(
        dict.fromkeys(name for pattern in patterns for name in known if fnmatch(name, pattern))
    )


def _ratio_to_fastest(timed: Sequence[Row], name: str, precision: str) -> str:
    """Return our median over the fastest competitor's of the same precision, empty without both."""
    ours = _latest(timed, model=name, engine=OURS, precision=precision)
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


def _processor(rows: Iterable[Row], cores: str = "one thread") -> str:
    """Name the processors that rows were measured on."""
    names = dict.fromkeys(row.get("processor") or "" for row in rows)
    known = " or ".join(name or "an unrecorded processor" for name in names)
    return f"{cores} of {known}" if any(names) else f"{cores} (processor not recorded)"


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


def one_thread(path: Path) -> list[dict[str, str]]:
    """Return the rows of a results file that were measured on one thread."""
    return [row for row in read_rows(path) if row["threads"] == "1"]


def _our_rows(path: Path) -> list[dict[str, str]]:
    return [row for row in one_thread(path) if row["engine"] == OURS]


def _latest(rows: Iterable[Row], **wanted: str) -> Row | None:
    """Return the last row with the wanted values in its columns."""
    return next((row for row in reversed(list(rows)) if wanted.items() <= row.items()), None)


def _ms(row: Row | None) -> str:
    return f"{float(row['median_ms']):.1f}" if row else ""


def _megabytes(row: Row | None) -> str:
    return f"{int(row['bytes']) / 1e6:.2f}" if row else ""


def _times(timed: Sequence[Row], name: str) -> str:
    times = [_ms(_latest(timed, model=name, precision=precision)) for precision in PRECISIONS]
    return " / ".join(times) if all(times) else ""


def _accuracy(measured: Iterable[Row], model: str) -> str:
    row = _latest(measured, model=model)
    return f"{100 * float(row['top1']):.2f} / {100 * float(row['top5']):.2f}" if row else ""


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
