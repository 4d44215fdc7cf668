"""Fine-tune a classifier on your own classes: a folder of images for each.

python examples/finetune_classifier.py flowers/ --epochs 5 --weights imagenet
"""

import argparse
from pathlib import Path

import keras

import keras_shufflenet as ks

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=Path, help="with a folder of images for each class")
parser.add_argument("--network", default="shufflenet_v2_x1_0")
parser.add_argument("--weights", default="imagenet", help="imagenet, a file, or none")
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--output", type=Path, default=Path("finetuned.keras"))
arguments = parser.parse_args()

if not arguments.folder.is_dir():
    parser.error(f"the folder must exist. Received: {arguments.folder}")
train = ks.data.classification(arguments.folder, training=True, batch_size=16)

# The model carries the names of its classes. Everything but the classifier is loaded.
weights = None if arguments.weights == "none" else arguments.weights
model = ks.create_model(arguments.network, classes=train.class_names, weights=weights)
model.compile(
    keras.optimizers.Adam(1e-3),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
    jit_compile=False,
)
model.optimizer.build(model.trainable_variables)  # the step is traced once instead of twice
model.fit(
    train, steps_per_epoch=max(1, train.report.read // 16), epochs=arguments.epochs, shuffle=False
)
model.save(arguments.output)
print(f"{', '.join(train.class_names)}: {arguments.output}")
print(ks.metrics.imagenet(arguments.output, arguments.folder))
