"""Running models: Keras models, exported files, people in images.

Exported files need NumPy, Pillow and ai-edge-litert only; Keras is imported for Keras models.
"""

from keras_shufflenet.inference.classification import ImageClassifier
from keras_shufflenet.inference.pose import PosePredictor, predict_pose
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.inference.sheets import image_grid, overlay_heatmaps
from keras_shufflenet.inference.visualization import draw_skeletons

__all__ = [
    "ImageClassifier",
    "PosePredictor",
    "Predictor",
    "draw_skeletons",
    "image_grid",
    "overlay_heatmaps",
    "predict_pose",
]
