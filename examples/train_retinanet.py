"""Train a RetinaNet on any backbone with your own boxes.

    python examples/train_retinanet.py detnas_coco_fpn_300m --annotations train.json \
        --image-dir images --val-annotations val.json --output-dir runs/retinanet

The json is COCO's; its categories with boxes become the classes. The pyramid is narrower and the
head shallower than the published ones, so that it trains on a few processor cores.
"""

import argparse
from pathlib import Path

import keras

import keras_shufflenet as ks

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("backbone")
parser.add_argument("--annotations", type=Path, action="append", required=True)
parser.add_argument("--image-dir", type=Path, required=True)
parser.add_argument("--val-annotations", type=Path, required=True)
parser.add_argument("--backbone-weights", default="imagenet", help="a name, a file or none")
parser.add_argument("--input-size", type=int, default=320)
parser.add_argument("--fpn-channels", type=int, default=128)
parser.add_argument("--head-convs", type=int, default=2)
parser.add_argument("--epochs", type=int, default=50)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--learning-rate", type=float, default=1e-3)
parser.add_argument("--output-dir", type=Path, required=True)
arguments = parser.parse_args()

keras.utils.set_random_seed(0)
boxes = [ks.detection.COCOBoxes(path) for path in arguments.annotations]
weights = arguments.backbone_weights
model = ks.RetinaNet(
    arguments.backbone,
    classes=[category.name for category in boxes[0].categories],
    input_shape=(arguments.input_size, arguments.input_size, 3),
    fpn_channels=arguments.fpn_channels,
    head_convs=arguments.head_convs,
    backbone_weights=None if weights == "none" else weights,
)
recipe = ks.training.DetectionRecipe(
    arguments.epochs,
    arguments.batch_size,
    arguments.learning_rate,
    augmentation=ks.data.DetectionAugmentation(scale=(0.8, 1.25), stretch=(1.0, 1.0)),
)
held_out = arguments.val_annotations, arguments.image_dir
log = ks.training.train_detection(
    model,
    [(each, arguments.image_dir) for each in boxes],
    arguments.output_dir,
    recipe,
    val_data=held_out,
)
print(f"{arguments.output_dir / 'model.keras'}: AP {log[-1]['AP']:.3f}")
