"""Prediction with Keras models and exported files.

Exported files require NumPy, Pillow and ai-edge-litert only; Keras is imported for Keras models.
"""

from keras_shufflenet.inference.classification import ImageClassifier
from keras_shufflenet.inference.detection import Detector
from keras_shufflenet.inference.image_grid import image_grid, overlay_heatmaps
from keras_shufflenet.inference.person_boxes import PersonBoxes, PersonDetector
from keras_shufflenet.inference.pose import PosePredictor, Poses, predict_pose
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.inference.track_drawing import draw_tracks
from keras_shufflenet.inference.tracking import Tracker
from keras_shufflenet.inference.video import TrackedPoses, VideoPosePredictor
from keras_shufflenet.inference.video_reader import Frame, VideoReader
from keras_shufflenet.inference.video_writer import VideoWriter
from keras_shufflenet.inference.visualization import draw_detections, draw_skeletons

__all__ = [
    "Detector",
    "Frame",
    "ImageClassifier",
    "PersonBoxes",
    "PersonDetector",
    "PosePredictor",
    "Poses",
    "Predictor",
    "TrackedPoses",
    "Tracker",
    "VideoPosePredictor",
    "VideoReader",
    "VideoWriter",
    "draw_detections",
    "draw_skeletons",
    "draw_tracks",
    "image_grid",
    "overlay_heatmaps",
    "predict_pose",
]


def __dir__() -> list[str]:
    return __all__
