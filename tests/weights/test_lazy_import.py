"""Importing `weights` is quick, and its names do not depend on the order of imports."""

import pkgutil
import subprocess
import sys

import pytest

from keras_shufflenet import weights

HEAVY = ("keras", "numpy", "tensorflow", "safetensors", "rich")


@pytest.mark.parametrize("module", ["keras_shufflenet.weights", "keras_shufflenet.weights.catalog"])
def test_the_catalog_imports_neither_keras_nor_numpy(module):
    script = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_no_submodule_shadows_a_public_name():
    submodules = {info.name for info in pkgutil.iter_modules(weights.__path__)}
    assert submodules & set(weights.__all__) == {"catalog", "layouts"}
    for name in weights.__all__:
        assert getattr(weights, name) is not None


def test_an_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'port'"):
        getattr(weights, "port")  # noqa: B009
