"""Tables of what was measured beside single networks: accuracy here, pipelines, video, searches.

Each builder takes the folder of the csv files and shell patterns of model names, and returns
Markdown.
"""

from collections.abc import Sequence
from pathlib import Path

from result_rows import Row, markdown, matching, processor, read_rows, values

POSE_COLUMNS = ("AP", "AP .5", "AP .75", "AR")
BOX_COLUMNS = ("AP", "AP .5", "AP .75", "AP (S)", "AP (M)", "AP (L)")


def persons_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of person detection here: the metrics of boxes."""
    rows = [
        (f"`{row['model']}`", f"`{row['data']}`", *(f"{float(row[c]):.3f}" for c in BOX_COLUMNS))
        for row in read_rows(results / "detection.csv")
    ]
    return markdown(("model", "annotations", *BOX_COLUMNS), rows)


def trained_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of pose estimators trained here: AP with annotated boxes and flip test."""
    rows = [
        (f"`{row['model']}`", f"`{row['data']}`", *values(row, POSE_COLUMNS))
        for row in _pose_rows(results, patterns)
        if row["boxes"] == "annotated"
    ]
    return markdown(("model", "annotations", *POSE_COLUMNS), rows)


def boxes_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of pose estimators with annotated boxes and with those of detectors."""
    rows = [
        (
            row["boxes"] if row["boxes"] == "annotated" else f"`{row['boxes']}`",
            *values(row, POSE_COLUMNS),
        )
        for row in _pose_rows(results, patterns)
    ]
    return markdown(("boxes", *POSE_COLUMNS), rows)


def _pose_rows(results: Path, patterns: Sequence[str]) -> list[Row]:
    rows = read_rows(results / "coco.csv")
    names = matching([row["model"] for row in rows], patterns or ["*"])
    return [row for row in rows if row["model"] in names]


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
    return f"{markdown(head, rows)}\n\nMedians on {processor(timed)}."


def pipeline_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of the training pipeline: crops per second beside OpenCV."""
    timed = read_rows(results / "pipeline.csv")
    rows = [(row["people"], *_beside(row, "opencv")) for row in timed]
    head = (
        "instances", "crops / s", "OpenCV, crops / s", "ratio", "CPU ms / crop",
        "OpenCV, CPU ms / crop",
    )  # fmt: skip
    cores = " or ".join(dict.fromkeys(row["cores"] for row in timed))
    return f"{markdown(head, rows)}\n\nMedians on {processor(timed, f'{cores} cores')}."


def classification_pipeline_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of the pipeline of classification beside a DataLoader of PyTorch."""
    timed = read_rows(results / "pipeline_classification.csv")
    rows = [
        (row["images"], *_beside(row, "pillow"), f"{float(row['cpu_ratio']):.2f}") for row in timed
    ]
    head = (
        "images", "crops / s", "DataLoader, crops / s", "ratio", "CPU ms / crop",
        "DataLoader, CPU ms / crop", "ratio of CPU time",
    )  # fmt: skip
    cores = " or ".join(dict.fromkeys(row["cores"] for row in timed))
    return f"{markdown(head, rows)}\n\nMedians on {processor(timed, f'{cores} cores')}."


def video_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of pose estimation on video: ids, and milliseconds of the processor."""
    timed = read_rows(results / "video.csv")
    names = matching([row["pose"] for row in timed], patterns or ["*"])
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
    machine = processor(timed, f"{cores} cores")
    return (
        f"{markdown(head, rows)}\n\nMilliseconds of CPU time of all threads for each frame, and "
        f"the frames per second that they make, on {machine} in use by other programs."
    )


def pictures_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of pose estimation of photographs: milliseconds by number of persons."""
    timed = read_rows(results / "pose_prediction.csv")
    columns = ("median_ms", "read_ms", "detect_ms", "crop_ms", "pose_ms")
    rows = [(row["persons"], *(f"{float(row[name]):.1f}" for name in columns)) for row in timed]
    head = ("persons", "whole, ms", "reading, ms", "detector, ms", "cropping, ms", "pose, ms")
    return f"{markdown(head, rows)}\n\nMedians on {processor(timed)}."


def ablation_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of short trainings of a pose estimator that differ in one ingredient."""
    rows = read_rows(results / "pose_ablation.csv")
    columns = ("AP", "AP .5", "AP .75")
    cells = [(row["training"], row["steps"], *values(row, columns)) for row in rows]
    return markdown(("training", "steps", *columns), cells)


def graphs_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of ONNX and OpenVINO files: largest difference from Keras."""
    columns = ("ONNX Runtime", "OpenVINO", "largest output")
    rows = [
        (f"`{row['network']}`", *(f"{float(row[column]):.1e}" for column in columns))
        for row in read_rows(results / "graphs.csv")
    ]
    return markdown(("network", *columns), rows)


def browser_table(results: Path, patterns: Sequence[str]) -> str:
    """Build the table of files in a browser: largest difference from Python."""
    columns = ("largest difference", "largest output")
    rows = [
        (f"`{row['file']}`", row["client"], *(f"{float(row[column]):.1e}" for column in columns))
        for row in read_rows(results / "browser.csv")
    ]
    return markdown(("file", "client", *columns), rows)


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
    return markdown(head, rows)


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
    return markdown(head, rows)


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
    return markdown(head, rows)


def _beside(row: dict[str, str], other: str) -> list[str]:
    """Return crops per second, their ratio and CPU time per crop of ours and another pipeline."""
    sides = ("", f"{other}_")
    return [
        *(f"{float(row[f'{side}crops_per_second']):.0f}" for side in sides),
        f"{float(row['ratio']):.2f}",
        *(f"{float(row[f'{side}cpu_ms_per_crop']):.2f}" for side in sides),
    ]
