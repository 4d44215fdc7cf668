"""Assignment of arrays to variables.

On TensorFlow `keras.Variable.assign` takes ten times as long as the copy of the numbers, for checks
that `port` has made already; with hundreds of variables that is longer than reading their file.
"""

import keras
import numpy as np


def assign(variable: keras.Variable, array: np.ndarray) -> None:
    """Give a variable the numbers of an array.

    Args:
        variable: of a built layer.
        array: of the variable's shape; its numbers are copied.
    """
    # Backends keep what they get, and the array may be read-only or a view into a file.
    array = np.array(array, np.float32, order="C")
    handle = _handle(variable)
    if handle is None:
        variable.assign(array)
    else:
        import tensorflow as tf

        tf.raw_ops.AssignVariableOp(resource=handle, value=array)


def _handle(variable: keras.Variable) -> object | None:
    """TensorFlow's resource behind a float32 variable that lives in one place."""
    if keras.backend.backend() != "tensorflow" or variable.dtype != "float32":
        return None
    value = variable.value
    distributed = hasattr(value, "values")
    return None if distributed else getattr(value, "handle", None)
