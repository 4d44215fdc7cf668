"""The copy of a model that is trained: the same network with faster layers of TensorFlow.

Keras computes batch normalization from a dozen elementary operations, which take a third of a
ShuffleNet's training step on a CPU; TensorFlow has a single kernel. The gradient of a strided
slice, by which Keras crops, takes a fifth of it; that of a plain slice, a tenth of that. Neither is
part of a Keras layer, so only the copy of `training_copy` uses them, and the weights go back into
the plain model.
"""

from typing import Any

import keras

from keras_shufflenet.models.layers import channel_axis


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization over all axes but the last with TensorFlow's fused kernel.

    The moving variance is that of the unbiased estimator, as in PyTorch and the old Keras.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize (batch, height, width, channels); update moving statistics in training."""
        if not (training and self.trainable) or self.synchronized:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma if self.scale else tf.ones(inputs.shape[-1:]),
            offset=self.beta if self.center else tf.zeros(inputs.shape[-1:]),
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
        )
        self._follow(self.moving_mean, mean)
        self._follow(self.moving_variance, variance)
        return outputs

    def _follow(self, moving: keras.Variable, value: Any) -> None:
        moving.assign(moving * self.momentum + value * (1.0 - self.momentum))


class ChannelSlice(keras.layers.Cropping2D):
    """Slice of channels, see `models.layers.channel_slice`, as a plain slice of TensorFlow."""

    def call(self, inputs: Any) -> Any:
        """Return some of the channels of (batch, height, width, channels)."""
        import tensorflow as tf

        _, (before, after) = self.cropping
        channels = inputs.shape[-1] - before - after
        return tf.slice(inputs, [0, 0, 0, before], [-1, -1, -1, channels])


def training_copy(model: keras.Model, min_momentum: float = 0.0) -> keras.Model:
    """Return a copy with the same weights, layer names and order of variables.

    Args:
        model: A functional model. With a backend other than TensorFlow its layers are copied as
            they are.
        min_momentum: Minimum momentum of the moving statistics. Where weights are averaged, the
            statistics belong to the averages if their momentum is that of the averages.
    """
    copy = keras.models.clone_model(
        model, clone_function=lambda layer: faster_layer(layer, min_momentum)
    )
    copy.set_weights(model.get_weights())
    return copy


def faster_layer(layer: keras.Layer, min_momentum: float = 0.0) -> keras.Layer:
    """Return an equal layer with new weights, which is faster in training if there is such.

    Args:
        layer: A layer of a functional model.
        min_momentum: As for `training_copy`.
    """
    kind, config = type(layer), layer.get_config()
    if kind is keras.layers.BatchNormalization:
        config["momentum"] = max(layer.momentum, min_momentum)
        kind = FusedBatchNormalization if _is_fusible(layer) else kind
    elif kind is keras.layers.Cropping2D and _is_channel_slice(layer):
        kind = ChannelSlice
    return kind.from_config(config)


def synchronize_statistics(model: keras.Model) -> None:
    """Let batch normalizations of a model take their statistics of all replicas (TensorFlow)."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def _is_fusible(layer: keras.layers.BatchNormalization) -> bool:
    shape = layer.output.shape
    return (
        keras.backend.backend() == "tensorflow"
        and len(shape) == 4
        and layer.axis in (-1, 3)
        and layer.compute_dtype == "float32"
    )


def _is_channel_slice(layer: keras.layers.Cropping2D) -> bool:
    return (
        keras.backend.backend() == "tensorflow"
        and channel_axis() == -1
        and layer.data_format == "channels_first"
        and layer.cropping[0] == (0, 0)
    )
