"""Lowering: an exactly equivalent network for inference, in the form that mobile runtimes run fast.

Normalisations are folded into convolutions, channel shuffles and splits become contiguous slices
of producers whose channels are sorted by their readers, transposed convolutions become interleaved
convolutions, concatenations have four inputs at most.
"""

import keras

from keras_shufflenet.export.lowering.emit import Emission
from keras_shufflenet.export.lowering.fold import fold
from keras_shufflenet.export.lowering.order import choose_orders
from keras_shufflenet.export.lowering.trace import LoweringError, Trace

__all__ = ["LoweringError", "lower"]


def lower(model: keras.Model) -> keras.Model:
    """Rewrite a model for inference.

    Args:
        model: a functional model of this package, channels last. It is not changed.

    Returns:
        A functional model with the same inputs and, up to rounding, the same outputs, of few kinds
        of layers: convolutions with bias, slices and concatenations of channels, pooling.

    Raises:
        LoweringError: (a ValueError) if the model is not functional, or holds a layer that is not
            known here.
    """
    if not hasattr(model, "_nodes_by_depth"):
        raise LoweringError(
            f"Only functional models can be lowered. Received: {type(model).__name__}"
        )
    graph = Trace(model).graph
    fold(graph)
    choose_orders(graph)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        return Emission(graph).write(model.name)
    finally:
        keras.config.set_dtype_policy(policy)
