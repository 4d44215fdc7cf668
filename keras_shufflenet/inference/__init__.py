"""Running models: Keras models, exported files, people in images.

Everything is imported at its first use, so that `runtime` needs no more than it says.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_shufflenet.inference.drawing import draw_skeletons
    from keras_shufflenet.inference.pose import TopDown, predict_people
    from keras_shufflenet.inference.predictor import Predictor
    from keras_shufflenet.inference.sheets import contact_sheet, overlay_heatmaps

__all__ = [
    "Predictor",
    "TopDown",
    "contact_sheet",
    "draw_skeletons",
    "overlay_heatmaps",
    "predict_people",
]

_HOMES = {
    "Predictor": "predictor",
    "TopDown": "pose",
    "contact_sheet": "sheets",
    "draw_skeletons": "drawing",
    "overlay_heatmaps": "sheets",
    "predict_people": "pose",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
