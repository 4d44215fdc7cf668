"""COCO's keypoint figures of a pose network, from images to average precision.

The protocol of mmpose v0.29 (and of the published figures of its networks): people are cut out by
annotated or detected boxes, enlarged by 1.25; the heatmaps of the crop and of its mirror image are
averaged; the maxima move a quarter pixel uphill; poses are rescored and freed of duplicates.
"""

from pathlib import Path
from typing import Any

from keras_shufflenet import data
from keras_shufflenet.inference.pose import PosePredictor
from keras_shufflenet.keypoints import coco as scoring
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import Skeleton
from keras_shufflenet.metrics.people import predict_dataset


def coco(
    model: Any,
    annotations: str | Path,
    image_dir: str | Path,
    *,
    detections: str | Path | None = None,
    score_threshold: float = 0.0,
    flip_test: bool = True,
    batch_size: int = 32,
    input_size: tuple[int, int] | None = None,
    skeleton: str | Skeleton | None = None,
    codec: HeatmapCodec | None = None,
    oks_nms_threshold: float = 0.9,
    visibility_threshold: float = 0.2,
    results_path: str | Path | None = None,
    progress: bool = True,
) -> dict[str, float]:
    """Measure the average precision of a pose network.

    Args:
        model: a `keras.Model`, the path of a `.keras` or `.tflite` file, or a function, from
            images (N, H, W, 3) float32 RGB 0..255 to heatmaps (N, h, w, K).
        annotations: a COCO person-keypoints json.
        image_dir: the folder of its images.
        detections: a detector's json of boxes (image_id, category_id, bbox, score); by default the
            annotated boxes, which gives higher figures than a detector.
        score_threshold: detections below this score are left out.
        flip_test: average the heatmaps with those of the mirrored image.
        batch_size: people at a time.
        input_size: (height, width) of the crops, for a model that does not fix it.
        skeleton: by default the one in the file, else COCO's for 17 heatmaps and MPII's for 16.
        codec: by default the one in the `.tflite` file, else `"msra"` of the model's sizes.
        oks_nms_threshold: poses that are more similar than this to a better one of the image are dropped.
        visibility_threshold: joints up to this score do not count for the score of a pose.
        results_path: where to write the poses, as json in the format of COCO's server.
        progress: show a progress bar.

    Returns:
        The ten figures: AP, AP .5, AP .75, AP (M), AP (L), AR, AR .5, AR .75, AR (M), AR (L),
        each between 0 and 1, or -1 where there is no annotated person of that size.

    Raises:
        FileNotFoundError: the model, a json or an image is missing.
        ValueError: a json does not hold what it should, nobody is left to evaluate, an image cannot
            be decoded, or the model does not give heatmaps of the skeleton.
    """
    estimator = PosePredictor.load(
        model, input_size=input_size, codec=codec, skeleton=skeleton, flip_test=flip_test
    )
    samples = data.load_keypoint_dataset(
        annotations,
        image_dir,
        skeleton=estimator.skeleton,
        detections=detections,
        score_threshold=score_threshold,
    )
    people = samples.instances
    joints = predict_dataset(estimator, samples, batch_size, progress)
    results = scoring.rescore_and_nms(
        people.image_id,
        joints,
        people.bbox_scores,
        people.center_scale(estimator.codec.input_size)[1],
        skeleton=estimator.skeleton,
        visibility_threshold=visibility_threshold,
        oks_threshold=oks_nms_threshold,
    )
    if results_path is not None:
        scoring.save_results(results, results_path)
    return scoring.evaluate_keypoints(annotations, results, estimator.skeleton)
