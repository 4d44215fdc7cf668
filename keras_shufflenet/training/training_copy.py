"""The copy of a model that is trained: the same network with faster layers of TensorFlow.

Keras computes batch normalization from a dozen elementary operations, which take a third of a
ShuffleNet's training step on a CPU; TensorFlow has a single kernel. On CPUs that kernel and that of
convolutions, oneDNN's, are fast for multiples of 8 channels; ShuffleNets have 58 or 116, for which
sums and pointwise convolutions are faster as products of matrices. The gradient of a strided slice,
by which Keras crops, takes a fifth of the step; that of a split, a tenth of that. None of
these is a Keras layer, so only the copy of `training_copy` has them, and the weights go back into
the plain model.
"""

from typing import Any

import keras

from keras_shufflenet.models.layers import channel_axis

SPLITS = "_keras_shufflenet_splits"  # attribute of a tensor whose channels were split
SHUFFLE = (1, 3, 2)  # order of the axes in the transposition of `models.layers.channel_shuffle`
ONEDNN_CHANNELS = 8  # of whose multiples oneDNN's batch normalization is fast


class Conv2D(keras.layers.Conv2D):
    """A 1 × 1 convolution that is a product of matrices in training.

    Its name is that of Keras' own, because checkpoints name layers by their classes.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Convolve (batch, height, width, channels)."""
        if not training:
            return super().call(inputs)
        import tensorflow as tf

        kernel = tf.reshape(self.kernel, self.kernel.shape[2:])
        rows = tf.matmul(tf.reshape(inputs, [-1, kernel.shape[0]]), kernel)
        outputs = tf.reshape(rows, _with_channels(inputs, self.filters))
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return self.activation(outputs)


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization over all axes but the last, with TensorFlow's kernel where it is fast.

    The moving variance is that of the unbiased estimator, as in PyTorch and the old Keras.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize (batch, height, width, channels); update moving statistics in training."""
        if not (training and self.trainable) or self.synchronized:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        channels = inputs.shape[-1]
        gamma = tf.convert_to_tensor(self.gamma) if self.scale else tf.ones([channels])
        beta = tf.convert_to_tensor(self.beta) if self.center else tf.zeros([channels])
        is_fast = channels % ONEDNN_CHANNELS == 0 or not _is_on_cpu()
        is_fast = is_fast or inputs.dtype != "float32"  # sums of fewer bits would be too coarse
        normalize = _normalize_by_kernel if is_fast else _normalize_by_products
        outputs, mean, variance = normalize(inputs, gamma, beta, self.epsilon)
        self._follow(self.moving_mean, mean)
        self._follow(self.moving_variance, variance)
        return outputs

    def _follow(self, moving: keras.Variable, value: Any) -> None:
        moving.assign(moving * self.momentum + value * (1.0 - self.momentum))


class ChannelSlice(keras.layers.Cropping2D):
    """Slice of channels, see `models.layers.channel_slice`, as a plain slice of TensorFlow.

    The first and the last channels of a tensor come from one operation for both, whose gradient is
    a concatenation instead of a sum of padded gradients.
    """

    def call(self, inputs: Any) -> Any:
        """Return some of the channels of (batch, height, width, channels)."""
        import tensorflow as tf

        _, (before, after) = self.cropping
        channels = inputs.shape[-1]
        if before and after:
            return tf.slice(inputs, [0, 0, 0, before], [-1, -1, -1, channels - before - after])
        sizes = before or channels - after, channels - (before or channels - after)
        parts = getattr(inputs, SPLITS, {})
        if sizes not in parts:
            parts[sizes] = tf.split(inputs, sizes, axis=-1)
            setattr(inputs, SPLITS, parts)
        return parts[sizes][1 if before else 0]


class ShufflePermute(keras.layers.Permute):
    """The transposition of a channel shuffle, for two groups by way of complex numbers.

    The channels of two groups alternate as real and imaginary parts do, and TensorFlow makes
    complex numbers of these several times faster than it transposes.
    """

    def call(self, inputs: Any) -> Any:
        """Swap the last two axes of (batch, positions, groups, channels / groups)."""
        _, _, groups, channels = inputs.shape
        if inputs.dtype != "float32" or 2 not in (groups, channels):
            return super().call(inputs)
        import tensorflow as tf

        if groups == 2:
            return _interleave(*_concatenated(inputs))
        even, odd = _separate(inputs)
        return tf.stack([even, odd], axis=2)


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
    elif kind is keras.layers.Conv2D and _is_pointwise(layer) and _is_on_cpu():
        kind = Conv2D
    elif kind is keras.layers.Permute and layer.dims == SHUFFLE and _is_on_cpu():
        kind = ShufflePermute
    elif kind is keras.layers.Cropping2D and _is_channel_slice(layer):
        kind = ChannelSlice
    return kind.from_config(config)


def synchronize_statistics(model: keras.Model) -> None:
    """Let batch normalizations of a model take their statistics of all replicas (TensorFlow)."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def _normalize_by_kernel(x: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Return the normalized (batch, height, width, channels), mean and unbiased variance."""
    import tensorflow as tf

    none = tf.zeros([0])
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=none, variance=none, epsilon=epsilon
    )
    return outputs, mean, variance


def _normalize_by_products(x: Any, gamma: Any, beta: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Return the same, with sums that are products of matrices."""
    import tensorflow as tf

    @tf.custom_gradient
    def normalize(rows: Any, gamma: Any, beta: Any) -> Any:
        count = tf.shape(rows)[0]
        ones, size = tf.ones([1, count]), tf.cast(count, tf.float32)

        def mean_of(values: Any) -> Any:
            return tf.matmul(ones, values)[0] / size

        mean = mean_of(rows)
        centered = rows - mean
        variance = mean_of(tf.square(centered))
        inverse = tf.math.rsqrt(variance + epsilon)
        slope = gamma * inverse

        def gradient(upstream: Any, *_: Any) -> tuple[Any, Any, Any]:
            mean_upstream = mean_of(upstream)
            product = mean_of(upstream * centered) * inverse
            inner = upstream - mean_upstream - centered * (product * inverse)
            return slope * inner, product * size, mean_upstream * size

        unbiased = variance * (size / tf.maximum(size - 1.0, 1.0))
        return (centered * slope + beta, mean, unbiased), gradient

    channels = x.shape[-1]
    outputs, mean, variance = normalize(tf.reshape(x, [-1, channels]), gamma, beta)
    return tf.reshape(outputs, _with_channels(x, channels)), mean, variance


def _concatenated(x: Any) -> list[Any]:
    """Return both groups of (batch, positions, 2, channels), as (batch, positions, channels).

    In a graph those that were concatenated are found, and their concatenation is left out.
    """
    import tensorflow as tf

    if not tf.executing_eagerly() and x.op.type == "Reshape":
        concat = x.op.inputs[0].op
        if concat.type == "ConcatV2" and len(concat.inputs) == 3:
            parts = concat.inputs[:2]
            if all(len(part.shape) == 4 and part.shape[-1] == x.shape[-1] for part in parts):
                positions = -1 if x.shape[1] is None else x.shape[1]
                sizes = [tf.shape(x)[0], positions, x.shape[-1]]
                return [tf.reshape(part, sizes) for part in parts]
    return tf.unstack(x, axis=2)


def _interleave(even: Any, odd: Any) -> Any:
    """Return (batch, positions, channels, 2) of two tensors (batch, positions, channels)."""
    import tensorflow as tf

    @tf.custom_gradient
    def interleave(even: Any, odd: Any) -> Any:
        return tf.bitcast(tf.complex(even, odd), tf.float32), lambda upstream: _parts(upstream)

    return interleave(even, odd)


def _separate(x: Any) -> list[Any]:
    """Return the two tensors of which `_interleave` makes x."""
    import tensorflow as tf

    @tf.custom_gradient
    def separate(x: Any) -> Any:
        return _parts(x), lambda *upstream: tf.bitcast(tf.complex(*upstream), tf.float32)

    return separate(x)


def _parts(x: Any) -> list[Any]:
    import tensorflow as tf

    numbers = tf.bitcast(x, tf.complex64)
    return [tf.math.real(numbers), tf.math.imag(numbers)]


def _is_fusible(layer: keras.layers.BatchNormalization) -> bool:
    shape = layer.output.shape
    return (
        keras.backend.backend() == "tensorflow"
        and len(shape) == 4
        and layer.axis in (-1, 3)
        and layer.compute_dtype == "float32"
    )


def _is_on_cpu() -> bool:
    """Return whether the backend is TensorFlow without a GPU or TPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())


def _is_pointwise(layer: keras.layers.Conv2D) -> bool:
    ones = (layer.kernel_size, layer.strides, layer.dilation_rate)
    return (
        all(size == (1, 1) for size in ones)
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )


def _with_channels(inputs: Any, channels: int) -> Any:
    """Return the shape of feature maps with another number of channels."""
    import tensorflow as tf

    if None in inputs.shape[1:3]:
        return tf.concat([tf.shape(inputs)[:3], [channels]], axis=0)
    return [-1, *inputs.shape[1:3], channels]


def _is_channel_slice(layer: keras.layers.Cropping2D) -> bool:
    return (
        keras.backend.backend() == "tensorflow"
        and channel_axis() == -1
        and layer.data_format == "channels_first"
        and layer.cropping[0] == (0, 0)
    )
