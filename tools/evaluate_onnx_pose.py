r"""Evaluate a pose estimator of an ONNX file like `keras-shufflenet evaluate coco`.

    python tools/evaluate_onnx_pose.py pose.onnx --annotations val.json --image-dir val2017 \
        --detections bboxes.json --detector nanodet_plus_m_416 --detector detector_int8.tflite

Rows of results: with the annotated boxes, then with those of each json and each detector. The
network takes RGB with ImageNet's mean and standard deviation, channels first, a person at a time.
It needs onnxruntime, of the extra `runtimes`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
from rich.console import Console

from keras_shufflenet._results import append_row, check_columns
from keras_shufflenet.keypoints.coco import METRICS
from keras_shufflenet.metrics import coco, metrics_table

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
ANNOTATED = "annotated"
Network = Callable[[np.ndarray], np.ndarray]


def load_network(path: Path) -> tuple[Network, tuple[int, int]]:
    """Return the network and its (height, width).

    Args:
        path: The ONNX file.

    Returns:
        A function from images (N, H, W, 3) RGB 0..255 to heatmaps (N, h, w, K), run on one thread,
        and the size of the images.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    (given,) = session.get_inputs()

    def run(images: np.ndarray) -> np.ndarray:
        planes = ((images / 255 - MEAN) / STD).astype(np.float32).transpose(0, 3, 1, 2)
        maps = [session.run(None, {given.name: plane[None]})[0] for plane in planes]
        return np.concatenate(maps).transpose(0, 2, 3, 1)

    return run, tuple(given.shape[2:])


def open_detector(detector: str, weights: Path | None) -> object:
    """Return a detector's file, or the detector of a name with weights of a file or "coco"."""
    if Path(detector).suffix:
        return detector
    from keras_shufflenet.models import create_model

    return create_model(detector, weights=weights or "coco")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path, help="ONNX file")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO keypoint json")
    parser.add_argument("--image-dir", type=Path, required=True, help="folder of the images")
    parser.add_argument(
        "--detections", type=Path, action="append", default=[], help="json of boxes"
    )
    parser.add_argument("--detector", action="append", default=[], help="file or name")
    parser.add_argument("--detector-weights", type=Path, help="weights of detectors by name")
    parser.add_argument("--results-csv", type=Path, help="csv file to append rows to")
    chosen = parser.parse_args(arguments)
    if chosen.results_csv is not None:
        check_columns(chosen.results_csv, ("model", "boxes", "data", *METRICS))
    network, size = load_network(chosen.model)
    evaluate = partial(coco, network, chosen.annotations, chosen.image_dir, input_size=size)
    columns = {ANNOTATED: evaluate()}
    for file in chosen.detections:
        columns[file.name] = evaluate(detections=file)
    for detector in chosen.detector:
        opened = open_detector(detector, chosen.detector_weights)
        columns[Path(detector).name] = evaluate(detector=opened)
    Console().print(metrics_table(columns, title=chosen.model.name))
    if chosen.results_csv is not None:
        for boxes, metrics in columns.items():
            row = {"model": chosen.model.name, "boxes": boxes, "data": chosen.annotations.name}
            append_row(chosen.results_csv, {**row, **metrics}, "python tools/evaluate_onnx_pose.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
