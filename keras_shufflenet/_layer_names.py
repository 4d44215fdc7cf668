"""Names of layers that builders, weights, optimizers and feature extractors rely on.

Layer names are part of the public API: `.keras` files and checkpoints are matched by them.
"""

import re

IMAGE = "image"
PREPROCESSING = "preprocessing"
STEM = "stem_conv"
STAGE_PREFIX = "stage"
CONV_LAST = "conv_last"
CLASS_NAMES = "class_names"  # of the layer that holds them
KEYPOINTS = "keypoints"  # of the layer that holds the skeleton
ENCODING = "heatmap_encoding"  # of the layer that holds it
PREDICTIONS = "predictions"
HEAD_PREFIX = "head_"
AUXILIARY_PREFIX = "auxiliary_"
HEATMAPS = "head_final"
DETECTIONS = "detections"

_TOP = re.compile(rf"{CLASS_NAMES}|{PREDICTIONS}|{HEAD_PREFIX}.*|{AUXILIARY_PREFIX}.*")
_BODY = re.compile(r"stem_|stage\d|block_?\d|conv_last|expanded_conv|(bn_)?Conv_?1")
# Hidden layers in front of ShuffleNetV2+'s classifier do not depend on the number of classes.
_HEAD = re.compile(rf"{PREDICTIONS}|{HEAD_PREFIX}(?!se_|fc).*|{AUXILIARY_PREFIX}.*")


def is_top(name: str) -> bool:
    """Return whether a network built with `include_top=False` lacks the layer of this name."""
    return _TOP.fullmatch(name) is not None


def is_output(name: str) -> bool:
    """Return whether a layer is the last one with weights: of classes or of keypoints."""
    return name in (PREDICTIONS, HEATMAPS)


def is_head(name: str) -> bool:
    """Return whether the shape of a layer depends on the number of classes or keypoints."""
    return _HEAD.fullmatch(name) is not None


def is_body(name: str) -> bool:
    """Return whether a layer is named as those of a backbone, here or in keras.applications."""
    return _BODY.match(name) is not None
