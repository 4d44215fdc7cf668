"""What a trained pose estimator sees: crops with predicted heatmaps and skeletons, side by side."""

from pathlib import Path

import keras
import numpy as np

from keras_shufflenet import data
from keras_shufflenet._files import atomic_write
from keras_shufflenet.data.pipeline import iterate_arrays
from keras_shufflenet.inference.image_grid import image_grid, overlay_heatmaps
from keras_shufflenet.inference.image_io import to_pillow
from keras_shufflenet.inference.pose import PosePredictor
from keras_shufflenet.inference.visualization import draw_skeletons

PERSONS = 12
COLUMNS = 4
TILE = 320  # height in pixels
SCORE_THRESHOLD = 0.2


def draw_validation(model: keras.Model, dataset: data.KeypointDataset, path: Path) -> None:
    """Draw some persons of a dataset, evenly spaced: the heatmaps, and the skeleton beside them.

    The title is the mean distance of the labeled keypoints from their labels in percent of the
    crop's height.

    Args:
        model: A pose estimator of the dataset's keypoints.
        dataset: Instances with their image files.
        path: The image file to write.
    """
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(PERSONS, len(dataset))).astype(int))
    few = dataset.select(rows)
    predictor = PosePredictor.load(model, skeleton=few.skeleton)
    codec = predictor.codec
    tiles, titles = [], []
    (crops,) = iterate_arrays(data.person_instances(few, codec, len(few)))
    heatmaps = predictor.heatmaps(crops)
    points, scores = codec.decode(heatmaps)
    matrices = codec.crop_matrix(*few.instances.center_scale(codec.input_size))
    for row, (crop, maps, matrix) in enumerate(zip(crops, heatmaps, matrices, strict=True)):
        pose = np.column_stack([points[row], scores[row]])
        skeleton = draw_skeletons(crop, pose, few.skeleton, SCORE_THRESHOLD)
        tiles.append(np.concatenate([overlay_heatmaps(crop, maps), skeleton], axis=1))
        labels = few.instances.keypoints[row] @ matrix[:, :2].T + matrix[:, 2]
        is_labeled = few.instances.keypoints_visible[row] > 0
        distances = np.linalg.norm(points[row] - labels, axis=1)[is_labeled]
        error = distances.mean() / codec.input_size[0] if len(distances) else np.nan
        titles.append(f"{100 * error:.1f} %")
    height, width = codec.input_size
    tile = (TILE, round(TILE * 2 * width / height))
    picture = to_pillow(image_grid(tiles, COLUMNS, tile=tile, titles=titles))
    atomic_write(path, picture.save)
