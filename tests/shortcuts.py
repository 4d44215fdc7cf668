"""Contexts that save tests their time, where what is cut short is tested elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import keras
import pytest

# Two units for each stage; the searched networks keep every kind of block.
UNITS = (2, 2, 2)
SEARCHED_UNITS = (2, 2, 2, 2)
ARCHITECTURE = "03 12 20 31"


@contextmanager
def shallow() -> Iterator[None]:
    """Build networks of all families but MobileNetV2 and the largest with a third of their units.

    For tests that need a network of some structure, whatever its depth.
    """
    v1, v2, plus, one_shot, detnas = (
        import_module(f"keras_shufflenet.models.{name}")
        for name in ("shufflenet_v1", "shufflenet_v2", "shufflenet_v2_plus", "one_shot", "detnas")
    )
    scales = (1.4, 0.8, 1.0, 0.6, 1.2, 1.6, 1.0, 1.2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(v1, "UNITS", UNITS)
        patch.setattr(v2, "UNITS", UNITS)
        for searched in (plus, one_shot):
            patch.setattr(searched, "UNITS", SEARCHED_UNITS)
        patch.setattr(plus, "ARCHITECTURE", ARCHITECTURE)
        patch.setitem(one_shot.SEARCHED, "one_shot", one_shot.Searched(ARCHITECTURE, scales))
        size = detnas.SIZES["300m"]._replace(units=SEARCHED_UNITS)
        patch.setitem(detnas.SIZES, "300m", size)
        for name, (size_name, _) in detnas.SEARCHED.items():
            if size_name == "300m":
                patch.setitem(detnas.SEARCHED, name, (size_name, ARCHITECTURE))
        yield


@contextmanager
def unset_weights() -> Iterator[None]:
    """Build networks whose weights are loaded afterwards: drawing those of the largest takes long.

    Loading refuses to leave out any.
    """

    def zeros(_, shape, dtype=None):
        return keras.ops.zeros(shape, dtype)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
        yield


@contextmanager
def eager_training() -> Iterator[None]:
    """Run steps of training and prediction by operation: tracing one takes longer than ten steps.

    For a step or two; tests/training, tests/inference and tests/cli trace theirs.
    """
    compile_ = keras.Model.compile

    def compile_eagerly(model: keras.Model, *args, **arguments) -> None:
        compile_(model, *args, **arguments | {"run_eagerly": True, "jit_compile": False})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "compile", compile_eagerly)
        eagerly = property(lambda _: True, lambda _, value: None)
        patch.setattr(keras.Model, "run_eagerly", eagerly)
        yield


@contextmanager
def four_units() -> Iterator[None]:
    """Give the space one_shot a unit for each stage: supernets that are built in a second."""
    one_shot = import_module("keras_shufflenet.models.one_shot")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_shot, "UNITS", (1, 1, 1, 1))
        yield
