"""Train a pose estimator on synthetic people with `fit` and export it to int8.

    python examples/train_pose.py --people 2000 --epochs 10

Replace `create_dataset` by a COCO keypoint json and its folder of images for real ones.
"""

import argparse
from pathlib import Path

import keras

import keras_shufflenet as ks

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--people", type=int, default=2000)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--folder", type=Path, default=Path("train_pose"))
arguments = parser.parse_args()

easy = {"image_size": (256, 256), "people_per_image": (1, 1), "difficulty": 0.0}
train = ks.synthetic_people.create_dataset(
    arguments.folder / "train", arguments.people, seed=0, **easy
)
held_out = ks.synthetic_people.create_dataset(
    arguments.folder / "held_out", max(8, arguments.people // 40), seed=1, **easy
)

model = ks.PoseEstimator("shufflenet_v2_x0_25", head="fpn", input_size=(192, 128))
dataset = ks.data.keypoints(*train, model=model, training=True, batch_size=16)

# The pipeline never ends and shuffles by itself.
steps = max(1, arguments.people // 16)
rate = keras.optimizers.schedules.CosineDecay(
    0.0, arguments.epochs * steps, warmup_target=0.02, warmup_steps=min(100, steps)
)
model.compile(
    keras.optimizers.Adam(rate, epsilon=1e-8),
    loss=ks.training.KeypointMSELoss(),
    weighted_metrics=[ks.training.HeatmapPCK(num_keypoints=17)],
)
model.optimizer.build(model.trainable_variables)  # the step is traced once instead of twice
model.fit(dataset, steps_per_epoch=steps, epochs=arguments.epochs, shuffle=False)

file = arguments.folder / "pose_int8.tflite"
print(ks.export.litert(model, file, precision="int8", representative_dataset=dataset.take(steps)))
metrics = {
    "Keras": ks.metrics.coco(model, *held_out),
    "int8": ks.metrics.coco(file, *held_out),
}
for name, values in metrics.items():
    print(f"{name}: AP {values['AP']:.3f}")
