"""The training process: tensorflow-model-optimization on tf_keras, the Keras 2 that it needs.

It is run by its path, so that nothing of Keras 3 is imported. The folder that it is started with
holds `plan.json`, `weights.npz` and `calibration.npy`; batches come through stdin as .npz
archives, each behind its length; out go lines of JSON through stdout and in the end `model.tflite`.
"""

import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_wrapper,
    quantizers,
)

from keras_shufflenet.litert.activation_ranges import Histogram, asymmetric

BITS = 8
LENGTH_BYTES = 8
CALIBRATION_BATCH = 8
CLIPPING_IMAGES = 32
SMALLEST = 1e-6  # width of a range
TINY = 1e-30  # greatest weight of a kernel that is 0
PIXEL_MAX = 255.0
PROBABILITY_MAX = 255 / 256  # LiteRT's fixed scale of softmax and sigmoid is 1 / 256
KERNELS = {"Conv2D": "kernel", "Dense": "kernel", "DepthwiseConv2D": "depthwise_kernel"}


# ---- layers --------------------------------------------------------------------------------------


class Subtract(tf_keras.layers.Layer):
    """Normalize images: subtract the mean and divide by the standard deviation."""

    def __init__(self, mean: np.ndarray, std: np.ndarray, name: str) -> None:
        super().__init__(name=name)
        self.mean, self.std = mean, std

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the normalized images."""
        centered = inputs - self.mean
        return centered if np.all(self.std == 1) else centered * (1 / self.std)


class DepthToSpace(tf_keras.layers.Layer):
    """Channels to pixels."""

    def __init__(self, block_size: int, name: str) -> None:
        super().__init__(name=name)
        self.block_size = block_size

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return maps of `block_size` times the height and width."""
        return tf.nn.depth_to_space(inputs, self.block_size)


class Shift(tf_keras.layers.Layer):
    """A number is added."""

    def __init__(self, value: float, name: str) -> None:
        super().__init__(name=name)
        self.value = value

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the sum."""
        return inputs + self.value


class LeakyReLU(tf_keras.layers.Layer):
    """Negative values are multiplied by a slope."""

    def __init__(self, negative_slope: float, name: str) -> None:
        super().__init__(name=name)
        self.negative_slope = negative_slope

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the activated maps."""
        return tf.nn.leaky_relu(inputs, self.negative_slope)


class Activation(tf_keras.layers.Layer):
    """An activation written with the operations that the converter knows."""

    def __init__(self, activation: str, name: str) -> None:
        super().__init__(name=name)
        self.function = FUNCTIONS[activation]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the activated maps."""
        return self.function(inputs)


def _hard_sigmoid(x: tf.Tensor) -> tf.Tensor:
    shifted = tf.nn.relu6(x + 3.0)
    return tf.quantization.fake_quant_with_min_max_args(shifted, 0.0, 6.0) * (1 / 6)


def _hard_silu(x: tf.Tensor) -> tf.Tensor:
    return x * tf.nn.relu6(x + 3.0) * (1 / 6)


FUNCTIONS = {
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_silu,
    "linear": tf.identity,
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "sigmoid": tf.nn.sigmoid,
    "softmax": tf.nn.softmax,
}
OWN = {
    "Activation": Activation,
    "DepthToSpace": DepthToSpace,
    "LeakyReLU": LeakyReLU,
    "Shift": Shift,
}


# ---- quantization --------------------------------------------------------------------------------


class KernelQuantizer(quantizers.LastValueQuantizer):
    """One symmetric scale for each output channel.

    Attributes:
        fixed: the rounded kernel once training is over.
    """

    def __init__(self, axis: int) -> None:
        super().__init__(num_bits=BITS, per_axis=True, symmetric=True, narrow_range=True)
        self.axis = axis
        self.fixed: tf.Tensor | None = None

    def build(self, tensor_shape: tf.TensorShape, name: str, layer: Any) -> dict[str, Any]:
        """Make the variables of the scales."""
        return super().build((tensor_shape[self.axis],), name, layer)

    def __call__(
        self, inputs: tf.Tensor, training: bool, weights: dict[str, Any], **kwargs: Any
    ) -> tf.Tensor:
        """Round a kernel to its scales."""
        if self.fixed is not None:
            return self.fixed
        # The quantizer's channels are the last axis; a depthwise kernel's are the one before.
        rows = tf.reshape(inputs, (-1, inputs.shape[self.axis]))
        del training  # the scales are always those of the kernel as it is
        return tf.reshape(super().__call__(rows, True, weights, **kwargs), inputs.shape)


class Unrounded(tfmot.quantization.keras.quantizers.Quantizer):
    """Leaves a bias as it is.

    Attributes:
        fixed: the bias once training is over.
    """

    def __init__(self) -> None:
        self.fixed: tf.Tensor | None = None

    def build(self, tensor_shape: tf.TensorShape, name: str, layer: Any) -> dict[str, Any]:
        """It has no variables."""
        return {}

    def __call__(
        self, inputs: tf.Tensor, training: bool, weights: dict[str, Any], **kwargs: Any
    ) -> tf.Tensor:
        """Return the bias."""
        return tf.identity(inputs) if self.fixed is None else self.fixed

    def get_config(self) -> dict[str, Any]:
        """Nothing: it is never saved."""
        return {}


class LayerQuantization(tfmot.quantization.keras.QuantizeConfig):
    """Quantization of a layer: its kernel, if it has one, and its output, if it has a range.

    Kernel and bias are trained relative to `units`, which make them about 1, so that an optimizer
    step changes all of them alike: graph optimization gives channels very different scales.

    Args:
        kind: class of the layer.
        limits: of the output; None to leave it as it is.
        units: of kernel and bias, for a layer that has them.
    """

    def __init__(
        self, kind: str, limits: tuple[float, float] | None, units: list[np.ndarray] | None = None
    ) -> None:
        self.units = units or []
        self.names = (KERNELS[kind], "bias") if units else ()
        self.quantizers = [
            KernelQuantizer(axis=2 if kind == "DepthwiseConv2D" else -1),
            Unrounded(),
        ]
        self.outputs = []
        if limits is not None:
            self.outputs = [quantizers.FixedQuantizer(BITS, *limits, narrow_range=False)]

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """Kernel and bias."""
        weights = [getattr(layer, name) for name in self.names]
        return list(zip(weights, self.quantizers, strict=False))

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        """Let the layer compute with the rounded kernel."""
        for name, weight, unit in zip(self.names, quantize_weights, self.units, strict=True):
            setattr(layer, name, weight * unit)

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        """Nothing: activations are part of the layer or a layer of their own."""
        return []

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        """Nothing to set."""

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """The range of the output."""
        return self.outputs

    def get_config(self) -> dict[str, Any]:
        """Nothing: it is never saved."""
        return {}


# ---- the model -----------------------------------------------------------------------------------


def layer_of(step: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """The tf_keras layer of a step."""
    name, kind, config = step["name"], step["kind"], step["config"]
    if kind == "Normalization":
        return Subtract(arrays[f"{name}/0"], arrays[f"{name}/1"], name=name)
    make = OWN.get(kind) or getattr(tf_keras.layers, kind)
    return make(name=name, **config)


def connected(
    steps: list[dict[str, Any]], layers: dict[str, Any], inputs: Any, **call: Any
) -> dict[str, Any]:
    """The outputs of all steps by name, computed by `layers` from the input of the first."""
    outputs = {steps[0]["name"]: inputs}
    for step in steps:
        if step["name"] in layers:
            reads = [outputs[name] for name in step["reads"]] or [inputs]
            outputs[step["name"]] = layers[step["name"]](
                reads if len(reads) > 1 else reads[0], **call
            )
    return outputs


def measured(
    steps: list[dict[str, Any]], layers: dict[str, Any], images: np.ndarray
) -> dict[str, tuple[float, float]]:
    """The least and the greatest value of each step that rounds, over the images."""
    producers = [step for step in steps if step["rounds"]]

    @tf.function(autograph=False)
    def limits(batch: tf.Tensor) -> tf.Tensor:
        outputs = connected(steps, layers, batch)
        values = [outputs[step["name"]] for step in producers]
        return tf.stack([[tf.reduce_min(x), tf.reduce_max(x)] for x in values])

    starts = range(0, len(images), CALIBRATION_BATCH)
    found = np.stack([limits(images[i : i + CALIBRATION_BATCH]).numpy() for i in starts])
    limits_of = zip(producers, found[..., 0].min(0), found[..., 1].max(0), strict=True)
    return {step["name"]: (float(low), float(high)) for step, low, high in limits_of}


def by_scale(
    steps: list[dict[str, Any]], limits: dict[str, tuple[float, float]]
) -> dict[int, tuple[float, float]]:
    """The range of each scale."""
    ranges: dict[int, tuple[float, float]] = {}
    for step in steps:
        if step["name"] in limits:
            low, high = ranges.get(step["scale"], (0.0, SMALLEST))
            own_low, own_high = limits[step["name"]]
            ranges[step["scale"]] = min(low, own_low), max(high, own_high)
    return ranges


def clip_leaky(
    steps: list[dict[str, Any]],
    layers: dict[str, Any],
    images: np.ndarray,
    limits: dict[str, tuple[float, float]],
) -> dict[str, tuple[float, float]]:
    """Clip the ranges of convolutions that only a leaky ReLU reads, and of its output."""
    readers = [name for step in steps for name in step["reads"]]
    made = {step["name"] for step in steps if step["kind"] in KERNELS}
    leaky = {
        step["reads"][0]: step
        for step in steps
        if step["kind"] == "LeakyReLU"
        and step["reads"][0] in made
        and readers.count(step["reads"][0]) == 1
    }
    histograms = {name: Histogram(limits[name]) for name in leaky}

    @tf.function(autograph=False)
    def outputs(batch: tf.Tensor) -> dict[str, tf.Tensor]:
        found = connected(steps, layers, batch)
        return {name: found[name] for name in histograms}

    for image in images[:: max(1, len(images) // CLIPPING_IMAGES)] if leaky else ():
        for name, values in outputs(image[np.newaxis]).items():
            histograms[name].add(values.numpy())
    found = dict(limits)
    for name, step in leaky.items():
        slope = step["config"]["negative_slope"]
        low, high = found[name] = asymmetric(histograms[name], slope)
        found[step["name"]] = slope * low, high
    return found


def in_units(layer: Any, limits: tuple[float, float]) -> list[np.ndarray]:
    """Divide a layer's kernel by its greatest weights and its bias by the width of its output.

    Returns:
        What they were divided by.
    """
    kernel, bias = layer.get_weights()
    axis = 2 if isinstance(layer, tf_keras.layers.DepthwiseConv2D) else kernel.ndim - 1
    others = tuple(i for i in range(kernel.ndim) if i != axis)
    unit = np.maximum(np.abs(kernel).max(axis=others, keepdims=True), np.float32(TINY))
    width = np.float32(limits[1] - limits[0])
    layer.set_weights([kernel / unit, bias / width])
    return [unit, width]


class QuantizedModel:
    """The model that is trained and becomes the file."""

    def __init__(
        self, plan: dict[str, Any], arrays: dict[str, np.ndarray], images: np.ndarray
    ) -> None:
        self._plan = plan
        self._steps = plan["steps"]
        self._shape = images.shape[1:]
        plain = {step["name"]: layer_of(step, arrays) for step in self._steps[1:]}
        connected(self._steps, plain, tf.zeros((1, *images.shape[1:])))  # builds them
        for step in self._steps[1:]:
            if step["kind"] in KERNELS:
                plain[step["name"]].set_weights([arrays[f"{step['name']}/{i}"] for i in range(2)])
        limits = measured(self._steps, plain, images)
        limits = clip_leaky(self._steps, plain, images, limits)
        ranges = by_scale(self._steps, limits)
        if plan["pixels"]:
            ranges[self._steps[0]["scale"]] = (0.0, PIXEL_MAX)
        self._wrapped = {step["name"]: self._wrapper(step, plain, ranges) for step in self._steps}
        self.ends_in_softmax = self._steps[-1]["config"].get("activation") == "softmax"
        self.outputs(tf.zeros((1, *images.shape[1:])), training=True)  # builds the quantizers

    def _wrapper(
        self,
        step: dict[str, Any],
        plain: dict[str, Any],
        ranges: dict[int, tuple[float, float]],
    ) -> Any:
        limits = ranges.get(step["scale"], (0.0, 1.0))  # none if it is fused with a ReLU
        if step["config"].get("activation") in ("softmax", "sigmoid"):
            limits = (0.0, PROBABILITY_MAX)
        layer = plain.get(step["name"]) or Activation("linear", name=step["name"])
        units = in_units(layer, limits) if step["kind"] in KERNELS else None
        config = LayerQuantization(step["kind"], limits if step["rounds"] else None, units)
        return quantize_wrapper.QuantizeWrapperV2(layer, config)

    def outputs(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        """What the loss compares: probabilities' logits, or maps."""
        outputs = connected(self._steps, self._wrapped, images, training=training)
        return outputs[self._steps[-2 if self.ends_in_softmax and training else -1]["name"]]

    @property
    def variables(self) -> list[tf.Variable]:
        """Kernels and biases."""
        found = []
        for layer in self._wrapped.values():
            found += layer.trainable_weights
        return found

    def converted(self) -> bytes:
        """The `.tflite` file."""
        self._fix_weights()
        plan = self._plan
        name = plan["output_name"]

        def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
            return {name: self.outputs(images, training=False)}

        module = tf.Module()
        spec = tf.TensorSpec((1, *self._shape), tf.float32, name="images")
        module.serve = tf.function(serve, input_signature=[spec], autograph=False)
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [module.serve.get_concrete_function()], module
        )
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        converter.inference_input_type = tf.as_dtype(plan["input_dtype"])
        converter.inference_output_type = tf.as_dtype(plan["output_dtype"])
        return converter.convert()

    def _fix_weights(self) -> None:
        """Turn biases and rounded kernels into constants: the converter finds the same scales."""
        for wrapper in self._wrapped.values():
            for weight, quantizer, variables in wrapper._weight_vars:
                quantizer.fixed = tf.constant(quantizer(weight, True, variables).numpy())


# ---- training ------------------------------------------------------------------------------------


def cross_entropy(targets: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Kullback-Leibler divergence of the predicted from the wanted probabilities."""
    wanted = tf.nn.softmax_cross_entropy_with_logits(targets, logits)
    least = -tf.reduce_sum(tf.math.xlogy(targets, targets), axis=-1)
    return tf.reduce_mean(weights * (wanted - least))


def squared_error(targets: tf.Tensor, maps: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Mean over all positions of the weighted squared differences."""
    return tf.reduce_mean(weights * tf.square(maps - targets))


def detection_loss(box_channels: int) -> Any:
    """The loss of a detector's raw outputs (N, priors, classes + box_channels).

    The cross-entropies of the classes, and of the distances to the four sides of a box weighted
    with the wanted score of its best class; both less their minimum, relative to the sum of these
    scores.
    """

    def loss(targets: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        wanted, logits = targets[..., :-box_channels], outputs[..., :-box_channels]
        scores = tf.nn.sigmoid(wanted)
        entropy = tf.nn.sigmoid_cross_entropy_with_logits
        classes = tf.reduce_sum(entropy(scores, logits) - entropy(scores, wanted), axis=-1)
        shape = (-1, targets.shape[1], 4, box_channels // 4)
        sides = tf.reshape(targets[..., -box_channels:], shape)
        found = tf.nn.log_softmax(tf.reshape(outputs[..., -box_channels:], shape))
        difference = tf.nn.log_softmax(sides) - found
        boxes = tf.reduce_mean(tf.reduce_sum(tf.nn.softmax(sides) * difference, -1), -1)
        best = tf.reduce_max(scores, axis=-1)
        return weights[0] * tf.reduce_sum(classes + best * boxes) / tf.reduce_sum(best)

    return loss


def train(model: QuantizedModel, plan: dict[str, Any], batches: Iterator[list[np.ndarray]]) -> None:
    """Train and say the loss of every batch."""
    warmup = plan["total_steps"] // 10
    schedule = tf_keras.optimizers.schedules.CosineDecay(
        0.0,
        max(1, plan["total_steps"] - warmup),
        warmup_target=plan["learning_rate"],
        warmup_steps=max(1, warmup),
    )
    optimizer = tf_keras.optimizers.Adam(schedule)
    loss_of = cross_entropy if model.ends_in_softmax else squared_error
    if plan["box_channels"]:
        loss_of = detection_loss(plan["box_channels"])

    @tf.function(reduce_retracing=True, autograph=False)
    def step(images: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(targets, model.outputs(images, training=True), weights)
        variables = model.variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    for batch in batches:
        say(loss=float(step(*(tf.constant(array) for array in batch))))


# ---- talking to the parent -----------------------------------------------------------------------

SPEECH = os.fdopen(os.dup(1), "w")  # what libraries print must not get between the lines


def say(**message: Any) -> None:
    """Send a line of JSON."""
    SPEECH.write(json.dumps(message) + "\n")
    SPEECH.flush()


def received(stream: BinaryIO) -> Iterator[list[np.ndarray]]:
    """Batches of images, targets and weights until the parent closes the stream."""
    while size := int.from_bytes(stream.read(LENGTH_BYTES), "little"):
        with np.load(io.BytesIO(stream.read(size)), allow_pickle=False) as batch:
            yield [batch[name] for name in ("images", "targets", "weights")]


def main(folder: Path) -> None:
    """Train what lies in a folder."""
    os.dup2(2, 1)
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    with np.load(folder / "weights.npz") as arrays:
        images = np.load(folder / "calibration.npy")
        model = QuantizedModel(plan, dict(arrays), images)
    say(ready=True)
    train(model, plan, received(sys.stdin.buffer))
    (folder / "model.tflite").write_bytes(model.converted())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
