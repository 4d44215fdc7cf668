"""Fine-tune a classifier on your own classes: a folder of images for each.

python examples/finetune_classifier.py flowers/ --epochs 15 --weights imagenet
"""

import argparse
from pathlib import Path

import keras

import keras_shufflenet as ks

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", type=Path, help="with a folder of images for each class")
parser.add_argument("--network", default="shufflenet_v2_x1_0")
parser.add_argument("--weights", default="imagenet", help="imagenet, a file, or none")
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--frozen-epochs", type=int, default=5)
parser.add_argument("--output-dir", type=Path, default=Path("runs/classifier"))
arguments = parser.parse_args()

if not arguments.folder.is_dir():
    parser.error(f"the folder must exist. Received: {arguments.folder}")
photos = ks.data.load_classification_dataset(arguments.folder)
train, val = photos.split(0.25, seed=0)

# The model carries the names of its classes. Everything but the classifier is loaded.
keras.utils.set_random_seed(0)
weights = None if arguments.weights == "none" else arguments.weights
model = ks.create_model(arguments.network, classes=photos.class_names, weights=weights)

# All that a recipe says can be changed: the augmentation, for example.
recipe = ks.training.ClassificationRecipe(
    epochs=arguments.epochs,
    frozen_epochs=arguments.frozen_epochs,
    batch_size=16,
    peak_learning_rate=3e-4,
    optimizer="adamw",
    weight_decay=0.05,
    warmup=0.05,
    label_smoothing=0.1,
    augmentation=ks.data.ClassificationAugmentation(area=(0.35, 1.0), policy="trivial"),
)
ks.training.train_classification(
    model, train, arguments.output_dir, recipe, val_data=val, class_weights="balanced"
)
best = arguments.output_dir / "best.keras"
print(f"{', '.join(photos.class_names)}: {best}")
print(ks.metrics.imagenet(best, arguments.output_dir / "val.csv", verbose=False))
