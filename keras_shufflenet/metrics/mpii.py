"""PCKh of a pose estimator on MPII Human Pose, by the protocol of mmpose v0.29."""

from pathlib import Path
from typing import Any

from keras_shufflenet import data
from keras_shufflenet.data.tfds_source import opened
from keras_shufflenet.inference.pose import PosePredictor, predict_dataset
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.mpii import check_order, evaluate_pckh, load_truth, read_mpii


def mpii(
    model: Any,
    annotations: str | Path | data.TFDSSource,
    image_dir: str | Path | None,
    ground_truth: str | Path | dict[str, Any],
    *,
    flip_test: bool = True,
    batch_size: int = 32,
    input_size: tuple[int, int] | None = None,
    codec: HeatmapCodec | None = None,
    verbose: bool = True,
) -> dict[str, float]:
    """Compute the share of keypoints within half a head segment of the ground truth.

    Persons are cropped by the annotated centers and scales; the benchmark has no detector.

    Args:
        model: A `keras.Model`, the path of a `.keras` or `.tflite` file, or a function that maps
            images (N, H, W, 3) float32 RGB 0..255 to heatmaps (N, h, w, 16).
        annotations: A json list of image, center, scale, joints and joints_vis, or a dataset of
            `data.tfds` or its name, such as "tfds:mpii_pose:validation".
        image_dir: The folder of its images; None for a dataset of tfds.
        ground_truth: `mpii_gt_val.mat` of the same instances in the same order, or its arrays.
        flip_test: Whether to average the heatmaps with those of the mirrored image.
        batch_size: Instances per batch.
        input_size: (height, width) of the crops, for a model with a variable input size.
        codec: As for `PosePredictor.load`.
        verbose: Whether to show a progress bar.

    Returns:
        Head, Shoulder, Elbow, Wrist, Hip, Knee, Ankle, PCKh (their mean over all labeled
        keypoints) and PCKh@0.1 (within a tenth of a head segment), each between 0 and 1.

    Raises:
        FileNotFoundError: If the model, a file or an image is missing.
        ValueError: If a file is malformed, the ground truth has other persons or another order
            than the annotations, or the model does not output 16 heatmaps.
    """
    predictor = PosePredictor.load(
        model, input_size=input_size, codec=codec, skeleton="mpii", flip_test=flip_test
    )
    instances, truth = read_mpii(opened(annotations)), load_truth(ground_truth)
    check_order(instances, truth)
    dataset = data.resolve_image_paths(instances, image_dir)
    return evaluate_pckh(predict_dataset(predictor, dataset, batch_size, verbose), truth)
