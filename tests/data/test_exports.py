"""Lazy exports of `keras_shufflenet.data`."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

from keras_shufflenet import data


def test_no_module_shadows_an_exported_function():
    """Importing a submodule sets an attribute of its name on the package."""
    folder = Path(data.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert not modules & set(data.__all__)
    for name in modules:
        import_module(f"keras_shufflenet.data.{name}")
    assert all(not hasattr(getattr(data, name), "__path__") for name in data.__all__)
    assert callable(data.keypoints)
    assert callable(data.classification)


def test_resizing_needs_no_tensorflow():
    code = "import keras_shufflenet.data.resizing, sys; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
