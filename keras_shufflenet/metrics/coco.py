"""COCO keypoint evaluation of a pose estimator, from images to average precision.

The protocol of mmpose v0.29 and of its published results: persons are cropped by annotated or
detected boxes with a padding of 1.25; the heatmaps of the crop and of its mirror image are averaged
(flip test); maxima are refined by a quarter of a pixel; poses are rescored and filtered by OKS-NMS.
With a detector the precision is that of both networks together, end to end.
"""

from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from keras_shufflenet import data
from keras_shufflenet._checks import check_fraction
from keras_shufflenet._files import check_output
from keras_shufflenet.data.annotated_files import resolve_image_files
from keras_shufflenet.data.tfds_source import opened
from keras_shufflenet.detection.decoding import IOU_THRESHOLD, SCORE_THRESHOLD
from keras_shufflenet.inference.detection import Detector
from keras_shufflenet.inference.person_boxes import PERSON, PersonDetector
from keras_shufflenet.inference.pose import PosePredictor, predict_dataset
from keras_shufflenet.keypoints import coco as scoring
from keras_shufflenet.keypoints.coco_file import COCOFile, Source
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.keypoint_names import plain_name
from keras_shufflenet.keypoints.skeletons import SkeletonLike

DETECTOR_BATCH_SIZE = 8  # images


def coco(
    model: Any,
    annotations: Source | COCOFile | data.TFDSSource,
    image_dir: str | Path | None = None,
    *,
    detections: str | Path | list[dict[str, Any]] | None = None,
    score_threshold: float = 0.0,
    detector: Any = None,
    detector_score_threshold: float = SCORE_THRESHOLD,
    detector_iou_threshold: float = IOU_THRESHOLD,
    flip_test: bool = True,
    batch_size: int = 32,
    input_size: tuple[int, int] | None = None,
    skeleton: SkeletonLike | None = None,
    codec: HeatmapCodec | None = None,
    oks_nms_threshold: float = 0.9,
    visibility_threshold: float = 0.2,
    category: str | int | None = None,
    results_path: str | Path | None = None,
    verbose: bool = True,
) -> dict[str, float]:
    """Compute the average precision of a pose estimator.

    Args:
        model: A `keras.Model`, the path of a `.keras` or `.tflite` file, or a function that maps
            images (N, H, W, 3) float32 RGB 0..255 to heatmaps (N, h, w, K).
        annotations: A COCO keypoint json: its path, its content, or a `keypoints.COCOFile`; or a
            dataset of `data.tfds` or its name, such as "tfds:coco_keypoints:validation".
        image_dir: The folder of its images; None for a dataset of tfds.
        detections: A detector's json of boxes (image_id, category_id, bbox, score), or its content.
            Defaults to the annotated boxes, with which the metrics are higher.
        score_threshold: Minimum score of detections.
        detector: Finds the persons in all images, in place of `detections`: as for
            `Detector.load`, for example "nanodet_plus_m_416" or the path of a `.tflite` file; or a
            `Detector` or `PersonDetector`, whose own thresholds then apply. The class of the
            category's name is taken, "person" for a category without one.
        detector_score_threshold: Minimum score of a detected person, 0..1.
        detector_iou_threshold: Maximum IoU of two detected persons that are both kept.
        flip_test: Whether to average the heatmaps with those of the mirrored image.
        batch_size: Instances per batch.
        input_size: (height, width) of the crops, for a model with a variable input size.
        skeleton: Defaults to the one that the model was built with, else COCO's for 17 heatmaps and
            MPII's for 16. A warning says if it has no sigmas of its own, but COCO's mean.
        codec: As for `PosePredictor.load`.
        oks_nms_threshold: Poses whose OKS with a better pose of the image exceeds it are removed.
        visibility_threshold: The score of a pose is the mean score of its keypoints above this.
        category: Name or id of the category of the persons; by default the only one with
            annotations.
        results_path: Path of a json in COCO's results format to write the poses to.
        verbose: Whether to show a progress bar.

    Returns:
        The ten metrics: AP, AP .5, AP .75, AP (M), AP (L), AR, AR .5, AR .75, AR (M), AR (L),
        each between 0 and 1, or -1 if there is no annotated instance of that size. With a
        `results_path`, detections are predicted for a file without annotations, too.

    Raises:
        FileNotFoundError: If the model, a json or an image is missing.
        ValueError: If a json is malformed, has several categories or other keypoints, no instances
            remain, an image cannot be decoded, the model does not output heatmaps of the skeleton,
            the detector has no class of the category, or there are `detections` and a `detector`.
            All but the images are checked before the model is run.
    """
    if detections is not None and detector is not None:
        raise ValueError(
            "`detections` and `detector` must not be given together. Received: both, "
            f"detector={detector!r}"
        )
    check_fraction("oks_nms_threshold", oks_nms_threshold)
    if results_path is not None:
        check_output("results_path", results_path)
    predictor = PosePredictor.load(
        model, input_size=input_size, codec=codec, skeleton=skeleton, flip_test=flip_test
    )
    file = COCOFile.open(opened(annotations), category, predictor.skeleton)
    if results_path is None:
        file.check_readable()
    if detector is not None:
        finder = _person_detector(detector, file, detector_score_threshold, detector_iou_threshold)
        detections = _detect(finder, file, image_dir, verbose)
    results = []
    if detections != []:  # of a detector that finds no person
        dataset = data.load_keypoint_dataset(
            file,
            image_dir,
            skeleton=file.skeleton,
            detections=detections,
            score_threshold=score_threshold,
        )
        instances = dataset.instances
        results = scoring.rescore_and_nms(
            instances.image_id,
            predict_dataset(predictor, dataset, batch_size, verbose),
            instances.bbox_scores,
            instances.center_scale(predictor.codec.input_size)[1],
            skeleton=file.skeleton,
            visibility_threshold=visibility_threshold,
            oks_threshold=oks_nms_threshold,
            category_id=file.category.id,
        )
    for result in results:
        pose = np.reshape(result["keypoints"], (-1, 3))
        result["keypoints"] = file.in_file_order(pose).ravel().tolist()
    if results_path is not None:
        scoring.save_results(results, results_path)
    if not file.report.read:
        return dict.fromkeys(scoring.METRICS, -1.0)
    return scoring.evaluate_keypoints(file, results, file.skeleton)


def _person_detector(
    detector: Any, file: COCOFile, score_threshold: float, iou_threshold: float
) -> PersonDetector:
    """Return a detector of the objects of the file's category."""
    if isinstance(detector, PersonDetector):
        return detector
    if not isinstance(detector, Detector):
        detector = Detector.load(
            detector, score_threshold=score_threshold, iou_threshold=iou_threshold
        )
    wanted = file.category.name or PERSON
    same = (name for name in detector.class_names if plain_name(name) == plain_name(wanted))
    return PersonDetector.load(detector, category=next(same, wanted))


def _detect(
    detector: PersonDetector, file: COCOFile, image_dir: str | Path | None, verbose: bool
) -> list[dict[str, Any]]:
    """Return the persons that a detector finds in the images of a file, as in its results json."""
    names = [image.file_name for image in file.images.values()]
    paths = resolve_image_files(names, image_dir, file.place)
    found = []
    for start in track(range(0, len(paths), DETECTOR_BATCH_SIZE), "Images", disable=not verbose):
        found += detector.detect(list(paths[start : start + DETECTOR_BATCH_SIZE]))
    return [
        {
            "image_id": image_id,
            "category_id": file.category.id,
            "bbox": bbox.tolist(),
            "score": float(score),
        }
        for image_id, persons in zip(file.images, found, strict=True)
        for bbox, score in zip(*persons, strict=True)
    ]
