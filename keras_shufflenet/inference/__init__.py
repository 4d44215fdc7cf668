"""Running models: Keras models, exported files, people in images."""

from keras_shufflenet.inference.predictor import Predictor

__all__ = ["Predictor"]
