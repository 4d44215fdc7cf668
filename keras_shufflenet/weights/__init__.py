"""How a checkpoint becomes the variables of a model.

`catalog` says what is published, `store` fetches it, `checkpoint` reads it without executing
anything, `layouts` knows the publishers' names, and `port` assigns with strict accounting.
"""

from keras_shufflenet.weights.cache import download
from keras_shufflenet.weights.catalog import WeightsEntry, default_entry, get_entry, list_weights
from keras_shufflenet.weights.checkpoint import read_checkpoint
from keras_shufflenet.weights.errors import (
    CheckpointError,
    WeightsMismatchError,
    WeightsUnavailableError,
)
from keras_shufflenet.weights.loader import load
from keras_shufflenet.weights.mean_image import read_mean_image
from keras_shufflenet.weights.state_dict import load_state_dict, state_dict
from keras_shufflenet.weights.supernet import supernet_path
from keras_shufflenet.weights.writer import save

__all__ = [
    "CheckpointError",
    "WeightsEntry",
    "WeightsMismatchError",
    "WeightsUnavailableError",
    "default_entry",
    "download",
    "get_entry",
    "list_weights",
    "load",
    "load_state_dict",
    "read_checkpoint",
    "read_mean_image",
    "save",
    "state_dict",
    "supernet_path",
]
