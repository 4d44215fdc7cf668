"""ShuffleNets, MobileNetV2 and top-down pose estimation in Keras 3."""

from keras_shufflenet.version import __version__

__all__ = ["__version__"]
