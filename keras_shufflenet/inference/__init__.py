"""Running models: Keras models, exported files, people in images.

Exported files need NumPy, Pillow and ai-edge-litert only; Keras is imported for Keras models.
"""

from keras_shufflenet.inference.classifier import Classifier
from keras_shufflenet.inference.drawing import draw_skeletons
from keras_shufflenet.inference.pose import TopDown, predict_people
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.inference.sheets import contact_sheet, overlay_heatmaps

__all__ = [
    "Classifier",
    "Predictor",
    "TopDown",
    "contact_sheet",
    "draw_skeletons",
    "overlay_heatmaps",
    "predict_people",
]
