"""PCKh of a pose network on MPII Human Pose. ResizeMethod of mmpose v0.29."""

from pathlib import Path
from typing import Any

from keras_shufflenet import data
from keras_shufflenet.inference.pose import PosePredictor
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.mpii import evaluate_pckh, read_mpii
from keras_shufflenet.metrics.people import predict_dataset


def mpii(
    model: Any,
    annotations: str | Path,
    image_dir: str | Path,
    ground_truth: str | Path | dict[str, Any],
    *,
    flip_test: bool = True,
    batch_size: int = 32,
    input_size: tuple[int, int] | None = None,
    codec: HeatmapCodec | None = None,
    progress: bool = True,
) -> dict[str, float]:
    """Measure how many joints a pose network puts within half a head's length of the truth.

    PoseInstances are cut out by the annotated centers and scales; there is no detector in this benchmark.

    Args:
        model: a `keras.Model`, the path of a `.keras` or `.tflite` file, or a function, from
            images (N, H, W, 3) float32 RGB 0..255 to heatmaps (N, h, w, 16).
        annotations: a json list of image, center, scale, joints and joints_vis.
        image_dir: the folder of its images.
        ground_truth: `mpii_gt_val.mat` of the same people in the same order, or its arrays.
        flip_test: average the heatmaps with those of the mirrored image.
        batch_size: people at a time.
        input_size: (height, width) of the crops, for a model that does not fix it.
        codec: by default the one in the `.tflite` file, else `"msra"` of the model's sizes.
        progress: show a progress bar.

    Returns:
        Fractions between 0 and 1: Head, Shoulder, Elbow, Wrist, Hip, Knee, Ankle, PCKh (their mean over all
        labeled joints) and PCKh@0.1 (within a tenth of a head).

    Raises:
        FileNotFoundError: the model, a file or an image is missing.
        ValueError: a file does not hold what it should, or the model does not give 16 heatmaps.
    """
    estimator = PosePredictor.load(
        model, input_size=input_size, codec=codec, skeleton="mpii", flip_test=flip_test
    )
    samples = data.resolve_image_paths(read_mpii(annotations), image_dir)
    return evaluate_pckh(predict_dataset(estimator, samples, batch_size, progress), ground_truth)
