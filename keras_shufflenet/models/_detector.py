"""What the builders of detectors do around their necks and heads: input, backbone, weights."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import layers

from keras_shufflenet import weights as pretrained
from keras_shufflenet._checks import check_bool, check_integer, is_integer
from keras_shufflenet._layer_names import CLASS_NAMES, DETECTIONS, HEAD_PREFIX
from keras_shufflenet._requirements import check_memory
from keras_shufflenet.models import _builder
from keras_shufflenet.models._class_transfer import ClassTransfer
from keras_shufflenet.models._input_channels import copy_adapted
from keras_shufflenet.models._model_data import attach_data
from keras_shufflenet.models._preprocessing import RGB
from keras_shufflenet.models._registry import build_network, feature_extractor, layer_name
from keras_shufflenet.models.layers import channel_axis

COCO_CLASSES = 80
BACKBONE_STRIDES = (8, 16, 32)
NECK_PREFIX = "neck_"

Shape = tuple[int | None, ...]


def build(
    head: Callable[[Sequence[keras.KerasTensor], int], list[keras.KerasTensor]],
    *,
    backbone: str,
    backbone_arguments: Mapping[str, Any],
    classes: int | Sequence[str],
    shape: Shape,
    input_tensor: keras.KerasTensor | None,
    weights: str | None,
    backbone_weights: str | None,
    include_preprocessing: bool,
    default_name: str,
    name: str | None,
    adapt_input_channels: bool,
) -> keras.Model:
    """Build a detector and load its weights.

    Args:
        head: Maps the backbone's feature maps of the strides 8, 16 and 32, and the number of
            classes, to predictions (N, priors, columns), which are concatenated along the priors.
        backbone: Registry name of the backbone.
        backbone_arguments: Further arguments of its builder.
        classes: As in every builder of a detector.
        shape: Of the input, from `check_input_shape`.
        input_tensor: As in every builder.
        weights: As in every builder of a detector.
        backbone_weights: As in every builder of a detector.
        include_preprocessing: As in every builder.
        default_name: Registry name, by which published weights are looked up.
        name: Name of the model; None for `default_name`.
        adapt_input_channels: As in every builder.
    """
    check_bool("adapt_input_channels", adapt_input_channels)
    top = _builder.Top(classes, None)
    check_integer("classes", top.count)
    check_memory("classes", top.count, top.count * _builder.BYTES_PER_CLASS)

    def assemble(
        shape: Shape, backbone_weights: str | None, image: keras.KerasTensor | None = None
    ) -> keras.Model:
        body = build_network(
            backbone,
            include_top=False,
            weights=backbone_weights,
            input_shape=shape,
            input_tensor=image,
            include_preprocessing=include_preprocessing,
            adapt_input_channels=adapt_input_channels,
            **backbone_arguments,
        )
        outputs = head(feature_extractor(body, BACKBONE_STRIDES).outputs, top.count)
        if top.names:
            outputs[0] = attach_data(outputs[0], CLASS_NAMES, list(top.names))
        x = layers.Concatenate(axis=1, dtype="float32", name=DETECTIONS)(outputs)
        return keras.Model(body.input, x, name=name or layer_name(default_name))

    model = assemble(shape, backbone_weights, input_tensor)
    if weights is not None:
        channels = 0 if channel_axis() == 1 else -1
        adapts = adapt_input_channels and shape[channels] != RGB
        loaded = model
        if adapts:
            rgb = list(shape)
            rgb[channels] = RGB
            loaded = assemble(tuple(rgb), None)
        transfer = None
        if top.names or top.count != COCO_CLASSES:
            transfer = ClassTransfer(top.names, top.count, weights)
        pretrained.load(loaded, weights, model_name=default_name, match_outputs=transfer)
        if transfer is not None:
            transfer.report()
        if adapts:
            copy_adapted(loaded, model)
    return model


def check_input_shape(
    input_shape: Shape | None, default_size: int, input_tensor: keras.KerasTensor | None = None
) -> Shape:
    """Return the shape of the input; the builder of the backbone checks what is not checked here.

    Args:
        input_shape: As in every builder.
        default_size: Both sides of the input if the shape is None.
        input_tensor: As in every builder; its shape takes the place of the default.

    Raises:
        ValueError: If a side is no multiple of 32.
    """
    last = channel_axis() == -1
    if input_shape is None and isinstance(input_tensor, keras.KerasTensor):
        input_shape = tuple(input_tensor.shape[1:])
    if input_shape is None:
        size = (default_size, default_size)
        return (*size, RGB) if last else (RGB, *size)
    multiple = BACKBONE_STRIDES[-1]
    is_shape = isinstance(input_shape, Sequence) and len(input_shape) == 3
    sides = (input_shape[:2] if last else input_shape[1:]) if is_shape else ()
    if any(side is not None and is_integer(side) and side % multiple for side in sides):
        raise ValueError(
            f"`input_shape` must have a height and width that are multiples of {multiple}, or "
            f"None. Received: input_shape={input_shape}"
        )
    return input_shape


def to_rows(x: keras.KerasTensor, columns: int, suffix: str) -> keras.KerasTensor:
    """Flatten predictions (N, H, W, k · columns) to rows (N, H · W · k, columns).

    Args:
        x: Predictions of a convolution, channels first if that is Keras' image data format.
        columns: Number of columns of a row.
        suffix: Of the names of the layers.
    """
    if channel_axis() == 1:
        x = layers.Permute((2, 3, 1), dtype="float32", name=f"{HEAD_PREFIX}permute{suffix}")(x)
    return layers.Reshape((-1, columns), dtype="float32", name=f"{HEAD_PREFIX}points{suffix}")(x)
