"""A copy of a model that trains faster with TensorFlow.

Keras computes batch normalization from a dozen elementary operations, which take a third of a
ShuffleNet's training step on a CPU. TensorFlow has one kernel for it. The kernel is not part of a
Keras layer, so only the copy uses it, and the weights go back into the plain model.
"""

from typing import Any

import keras


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization over all axes but the last with TensorFlow's fused kernel.

    The moving variance is that of the unbiased estimator, as in PyTorch and the old Keras.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise (batch, height, width, channels); moving statistics follow in training."""
        if not (training and self.trainable):
            return super().call(inputs, training=False, mask=mask)
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma,
            offset=self.beta,
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
        )
        self._follow(self.moving_mean, mean)
        self._follow(self.moving_variance, variance)
        return outputs

    def _follow(self, moving: keras.Variable, value: Any) -> None:
        moving.assign(moving * self.momentum + value * (1.0 - self.momentum))


def training_copy(model: keras.Model) -> keras.Model:
    """Return a copy with the same weights, layer names and order of variables.

    Args:
        model: A functional model. With a backend other than TensorFlow it is copied as it is.
    """
    copy = keras.models.clone_model(model, clone_function=_fused)
    copy.set_weights(model.get_weights())
    return copy


def _fused(layer: keras.Layer) -> keras.Layer:
    kind = type(layer)
    if kind is keras.layers.BatchNormalization and _is_fusible(layer):
        kind = FusedBatchNormalization
    return kind.from_config(layer.get_config())


def _is_fusible(layer: keras.layers.BatchNormalization) -> bool:
    shape = layer.output.shape
    return (
        keras.backend.backend() == "tensorflow"
        and len(shape) == 4
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
        and layer.compute_dtype == "float32"
    )
