"""Trainings one after another, each in a process of its own, which kills itself without a word.

`python -m tests.training.killed_trainings ANNOTATIONS IMAGES TRAININGS` trains models of a "kind",
"pose", "detection", "classification" or "supernet", and prints the exit codes. `kill_at` is the
step at which the process is killed, `while_writing` kills it there while a checkpoint is being
written.
TensorFlow has started nothing at the forks.
"""

import json
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_shufflenet._read_report import ReadReport
from keras_shufflenet.data import ClassificationAugmentation, ClassificationDataset
from keras_shufflenet.search import (
    Architecture,
    PathSampler,
    Supernet,
    SupernetTask,
    search_space,
    train_supernet,
)
from keras_shufflenet.training import (
    ClassificationRecipe,
    ClassificationTask,
    DetectionTask,
    Recipe,
    callbacks,
    detection_recipes,
    train,
    train_classification,
    train_pose,
    trainer,
)
from tests.shortcuts import eager_training, four_units
from tests.training.conftest import tiny_detector, tiny_guidance

ROOT = Path(__file__).parents[2]


def train_killed(people, trainings):
    """Run trainings, and return their exit codes."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, *map(str, people), json.dumps(trainings)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def train_heatmaps(annotations, images, directory):
    model = keras.Sequential(
        [
            keras.Input((64, 64, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 4, strides=4, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(17, 1),
        ]
    )
    recipe = Recipe(epochs=3, batch_size=4, peak_learning_rate=1e-3, warmup_steps=2)
    train_pose(model, [(annotations, images)], directory, recipe, checkpoint_minutes=0, verbose=0)


class Boxes(DetectionTask):
    """The training of a detector without files: noise with a box."""

    def data(self, start_step):
        for step in count(start_step):
            random = np.random.default_rng(step)
            images = random.uniform(0, 255, (6, 64, 64, 3)).astype(np.float32)
            corners = random.uniform(0, 30, (6, 2, 2)).astype(np.float32)
            boxes = np.concatenate([corners, corners + 30], axis=-1)
            yield tf.constant(images), {"boxes": boxes, "labels": np.int32([[0, -1]] * 6)}


def train_boxes(annotations, images, directory):
    recipe = detection_recipes.nanodet_plus(epochs=2, batch_size=6)
    with eager_training(), tiny_guidance():
        task = Boxes(tiny_detector(), [(annotations, images)], recipe)
        train(task, directory, checkpoint_minutes=0, verbose=0)


def three_classes(images):
    """Images to train on, and to validate on."""
    paths = np.array([str(path) for path in sorted(Path(images).iterdir())])
    report = ReadReport(str(images), len(paths))
    dataset = ClassificationDataset(paths, np.arange(len(paths)) % 3, ("a", "b", "c"), report)
    return dataset.split(0.25)


def train_choices(_, images, directory):
    """An epoch of a supernet, of two steps."""
    train_data, val_data = three_classes(images)
    recipe = ClassificationRecipe(1, 4, 0.05)
    with eager_training(), four_units():
        space = search_space("one_shot", (0.5, 1.0))
        network = space.build(
            Architecture((0,) * 4), input_shape=(32, 32, 3), classes=["a", "b", "c"]
        )
        supernet = Supernet.of(network, space)
        task = ClassificationTask(supernet.model, train_data, recipe, val_data=val_data)
        sampler = PathSampler(space)
        task = SupernetTask(task, supernet, sampler, calibration_batches=1, validated=1)
        train_supernet(task, directory, checkpoint_minutes=0, verbose=0)


def train_classes(_, images, directory):
    """A frozen epoch and two others, of two steps each, on images of three classes."""
    train_data, val_data = three_classes(images)
    recipe = ClassificationRecipe(
        2,
        4,
        0.05,
        frozen_epochs=1,
        ema_momentum=0.5,
        augmentation=ClassificationAugmentation(color_jitter=0.3, cutmix_alpha=1.0),
    )
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(4, 4, strides=4, use_bias=False),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax", name="predictions"),
        ]
    )
    with eager_training():
        train_classification(
            model, train_data, directory, recipe, val_data=val_data, checkpoint_minutes=0, verbose=0
        )


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def run(annotations, images, kind, directory, seed, kill_at=0, while_writing=False):
    steps = 0

    class Killer(callbacks.Checkpoint):
        def on_train_batch_end(self, batch, logs=None):
            nonlocal steps
            steps += 1
            if steps == kill_at:
                if while_writing:
                    self._rotate_after_writing = lambda path: (path.write_bytes(b"half"), kill())
                    self.save()
                kill()
            super().on_train_batch_end(batch, logs)

    trainer.Checkpoint = Killer
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    kinds = {
        "pose": train_heatmaps,
        "detection": train_boxes,
        "classification": train_classes,
        "supernet": train_choices,
    }
    start = kinds[kind]
    start(annotations, images, directory)


if __name__ == "__main__":
    *places, plan = sys.argv[1:]
    codes = []
    for training in json.loads(plan):
        if (child := os.fork()) == 0:
            run(*places, **training)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(json.dumps(codes))
