"""COCO box evaluation of a detector, from images to average precision."""

from pathlib import Path
from typing import Any

from rich.progress import track

from keras_shufflenet import data
from keras_shufflenet._files import check_output
from keras_shufflenet.data.annotated_files import resolve_image_files
from keras_shufflenet.data.tfds_source import opened
from keras_shufflenet.detection.coco_boxes import COCOBoxes, check_annotated, evaluate_boxes
from keras_shufflenet.detection.decoding import IOU_THRESHOLD, MAX_DETECTIONS, SCORE_THRESHOLD
from keras_shufflenet.inference.detection import Detector
from keras_shufflenet.keypoints.coco import save_results
from keras_shufflenet.keypoints.coco_file import Source


def detection(
    model: Any,
    annotations: Source | COCOBoxes | data.TFDSSource,
    image_dir: str | Path | None = None,
    *,
    category: str | int | None = None,
    score_threshold: float = SCORE_THRESHOLD,
    iou_threshold: float = IOU_THRESHOLD,
    max_detections: int = MAX_DETECTIONS,
    batch_size: int = 8,
    input_size: tuple[int, int] | None = None,
    results_path: str | Path | None = None,
    verbose: bool = True,
) -> dict[str, float]:
    """Compute the average precision of a detector's boxes.

    Args:
        model: A `keras.Model`, the path of a `.keras` or `.tflite` file, or a function that maps
            images (N, H, W, 3) float32 RGB 0..255 to raw outputs (N, priors, classes + 32) of
            NanoDet.
        annotations: A COCO json: its path, its content, or a `detection.COCOBoxes`; or a dataset of
            `data.tfds` or its name, such as "tfds:coco/2017:validation". Its categories go by the
            names of the model's classes, which are COCO's for 80 classes without names.
        image_dir: The folder of its images; None for a dataset of tfds.
        category: Name or id of the only category to be evaluated; by default all.
        score_threshold: Minimum score of a detection, 0..1.
        iou_threshold: Maximum IoU of two detections of a class that are both kept.
        max_detections: Maximum number of detections in an image, of all classes.
        batch_size: Images per batch.
        input_size: (height, width) of the input, for a model with a variable input size.
        results_path: Path of a json in COCO's results format to write the detections to, which
            `metrics.coco` takes as `detections`.
        verbose: Whether to show a progress bar.

    Returns:
        The twelve metrics: AP, AP .5, AP .75, AP (S), AP (M), AP (L), AR 1, AR 10, AR 100, AR (S),
        AR (M), AR (L), then the AP of each category as "AP of <name>", each between 0 and 1, or -1
        if there is no annotated box.

    Raises:
        FileNotFoundError: If the model, the json or an image is missing.
        ValueError: If the json is malformed or has none of the classes, an image cannot be decoded,
            or the model is no detector. All but the images are checked before the model is run.
    """
    if results_path is not None:
        check_output("results_path", results_path)
    detector = Detector.load(
        model,
        input_size=input_size,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
    )
    if not isinstance(annotations, COCOBoxes):
        annotations = COCOBoxes(opened(annotations), category)
    file = annotations
    categories = file.classes(detector.class_names)
    check_annotated(file, list(categories.values()))
    image_ids = list(file.images)
    names = [image.file_name for image in file.images.values()]
    paths = resolve_image_files(names, image_dir, file.place)
    results = []
    for start in track(range(0, len(paths), batch_size), "Images", disable=not verbose):
        rows = slice(start, start + batch_size)
        for image_id, found in zip(image_ids[rows], detector.detect(paths[rows]), strict=True):
            for (left, top, right, bottom), score, number in zip(*found, strict=True):
                if number in categories:
                    results.append(
                        {
                            "image_id": image_id,
                            "category_id": categories[number],
                            "bbox": [left, top, right - left, bottom - top],
                            "score": float(score),
                        }
                    )
    if results_path is not None:
        save_results(results, results_path)
    return evaluate_boxes(file, results, categories=list(categories.values()))
