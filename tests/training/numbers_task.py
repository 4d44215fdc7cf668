"""A task of a few numbers, whose batches are functions of the step, in parts for workers."""

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_shufflenet.data.pipeline import ALL, sample_numbers
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.models._model_data import attach_skeleton
from keras_shufflenet.training import (
    BackboneAdam,
    DetectionTask,
    PoseTask,
    Task,
    Teacher,
    WarmupMultiStepDecay,
    detection_recipes,
    recipes,
)
from tests.training.conftest import tiny_detector

IMAGE = (6, 6, 3)
BATCH_SIZE = 8


def network(normalized=False):
    image = keras.Input(IMAGE)
    x = layers.Rescaling(0.5)(image)
    x = layers.Conv2D(8, 3, use_bias=not normalized, name="stem")(x)
    if normalized:
        x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(8, 3, name="middle")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(2, name="head_out")(x), name="numbers")
    random = np.random.default_rng(0)  # the same with all backends
    model.set_weights([w + random.normal(0, 0.2, w.shape) * (w.ndim > 1) for w in zeroed(model)])
    return model


def zeroed(model):
    return [w * (w.ndim == 1) for w in model.get_weights()]


def sample(number):
    image = tf.random.stateless_normal(IMAGE, tf.stack([number, 7]))
    return image, tf.reduce_mean(image, axis=(0, 1))[:2] * 5


def boxes(number):
    random = tf.random.stateless_uniform((4,), tf.stack([number, 7]), 0.0, 30.0)
    image = tf.random.stateless_uniform((64, 64, 3), tf.stack([number, 8]), 0.0, 255.0)
    box = tf.concat([random[:2], random[:2] + random[2:] + 8], 0)
    return image, {"boxes": tf.stack([box, box * 0]), "labels": tf.constant([0, -1])}


class Boxes(DetectionTask):
    """The training of a detector on noise with a box."""

    def data(self, start_step, shard=ALL):
        numbers = sample_numbers(BATCH_SIZE, start_step, shard)
        return numbers.map(boxes).batch(BATCH_SIZE // shard[1])


def boxes_task(people):
    keras.utils.set_random_seed(0)
    model = tiny_detector()
    random = np.random.default_rng(0)
    model.set_weights([w + random.normal(0, 0.1, w.shape) * (w.ndim > 1) for w in zeroed(model)])
    recipe = detection_recipes.finetune(epochs=1, batch_size=BATCH_SIZE, peak_learning_rate=1e-3)
    recipe = replace(recipe, precise_statistics=False)
    return Boxes(model, [people], recipe)


def student_task(people, teacher_file):
    """The training of a pose estimator by a teacher, whose file is written."""
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(17, 4, 4, kernel_initializer="zeros", name="head_heatmaps")(image)
    student = keras.Model(image, attach_skeleton(x, skeletons.get("coco")))
    image = keras.Input((64, 64, 3))
    x = layers.Conv2D(17, 1, kernel_initializer="ones", name="head_heatmaps")(
        layers.AveragePooling2D(4)(layers.Rescaling(1 / 765)(image))
    )
    keras.Model(image, attach_skeleton(x, skeletons.get("coco"))).save(teacher_file)
    recipe = recipes.distill(epochs=3, batch_size=12, peak_learning_rate=1e-2)
    mixed = replace(recipe.augmentation, cutmix_prob=0.5, color_jitter=0.3)
    recipe = replace(recipe, augmentation=mixed)
    return PoseTask(student, [people], recipe, teacher=Teacher(teacher_file))


class Numbers(Task):
    best_metric = "score"
    epochs, steps_per_epoch = 2, 4

    def __init__(self, model, optimizer=None):
        self.model = model
        self.optimizer = optimizer or adam()

    def description(self):
        return {"task": "numbers"}

    def data(self, start_step, shard=ALL):
        numbers = sample_numbers(BATCH_SIZE, start_step, shard)
        return numbers.map(sample).batch(BATCH_SIZE // shard[1])

    def compile(self, model):
        optimizer = type(self.optimizer).from_config(self.optimizer.get_config())
        model.compile(optimizer, loss="mse", metrics=["mae"], jit_compile=False)

    def validate(self, model):
        x, y = next(self.data(1000).as_numpy_iterator())
        return {"score": -float(np.mean((keras.ops.convert_to_numpy(model(x)) - y) ** 2))}


def adam():
    """What makes the count of steps count: a schedule, averages, a clipped norm."""
    rate = WarmupMultiStepDecay(1e-2, [3, 6], gamma=0.5, warmup_steps=2)
    return BackboneAdam(rate, 0.5, use_ema=True, ema_momentum=0.5, global_clipnorm=0.5)
