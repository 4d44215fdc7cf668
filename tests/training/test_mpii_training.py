"""Training and validation on persons of MPII, in mmpose's json format."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_shufflenet import data
from keras_shufflenet.keypoints.skeletons import MPII
from keras_shufflenet.models._model_data import attach_skeleton
from keras_shufflenet.training import PoseTask, recipes, train_pose
from tests.shortcuts import eager_training


@pytest.fixture(scope="module")
def mpii(shared):
    """(annotations, image folder, ground truth) of five images."""
    folder = shared / "data" / "mpii"
    return folder / "mpii_val_5.json", folder / "images", folder / "mpii_gt_val_5.mat"


def network():
    keras.utils.set_random_seed(0)
    image = keras.Input((64, 64, 3))
    x = layers.Conv2D(16, 4, 4, name="head_final")(layers.Rescaling(1 / 255)(image))
    return keras.Model(image, attach_skeleton(x, MPII), name="pose")


def test_the_best_model_is_that_of_the_highest_pckh(mpii, tmp_path):
    annotations, images, truth = mpii
    recipe = recipes.mmpose_mpii(1, 4, 1e-3)
    assert recipe.augmentation == data.MPII_AUGMENTATION
    source = (annotations, images)
    with eager_training():
        (row,) = train_pose(
            network(),
            [source],
            tmp_path,
            recipe,
            val_data=source,
            val_ground_truth=truth,
            verbose=0,
        )
    assert 0 <= row["PCKh@0.1"] <= row["PCKh"] <= 1
    assert (tmp_path / "best.keras").exists()
    assert (tmp_path / "validation.jpg").exists()


def test_the_ground_truth_belongs_to_persons_of_mpii(mpii, people):
    annotations, images, truth = mpii
    source, recipe = (annotations, images), recipes.mmpose_mpii(1)
    with pytest.raises(ValueError, match=r"`val_ground_truth`, mpii_gt_val\.mat, must be given"):
        PoseTask(network(), [source], recipe, val_data=source)
    with pytest.raises(ValueError, match=r"and only with it\. Received: .*person_keypoints"):
        PoseTask(network(), [source], recipe, val_data=people, val_ground_truth=truth)


def test_persons_of_coco_and_mpii_are_not_mixed(mpii, people):
    annotations, images, _ = mpii
    with pytest.raises(ValueError, match="Persons of MPII must be read without those of other"):
        data.load_keypoint_dataset([annotations, people[0]], [images, people[1]])
    with pytest.raises(ValueError, match="skeleton='coco'"):
        data.load_keypoint_dataset(annotations, images, skeleton="coco")
    dataset = data.load_keypoint_dataset(annotations, images)
    assert len(dataset) == 5
    assert np.isfinite(dataset.instances.keypoints).all()
