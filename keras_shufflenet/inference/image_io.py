"""Images as users pass them: paths, Pillow images and arrays."""

import os
import warnings
from typing import Any

import numpy as np
from PIL import Image

from keras_shufflenet.data.image_files import LUMA, read_image, upright

_ROUNDING = 1.0  # by which interpolation may leave the range


def to_pillow(image: object) -> Image.Image:
    """Open or convert an image; files are read by the policy of `data.image_files`.

    Args:
        image: A path, a `PIL.Image`, or an array (H, W, 3) or (H, W), RGB, 0..255. An image that
            `PIL.Image.open` returned is turned as its EXIF orientation says.

    Returns:
        An RGB image.

    Raises:
        FileNotFoundError: If the path does not exist.
        ValueError: If the file is not a complete image, or the array has another shape or range.
    """
    if isinstance(image, Image.Image):
        try:
            return upright(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise ValueError(f"The image must be complete ({error}). Received: {image}") from error
    if isinstance(image, str | os.PathLike):
        return read_image(image)
    return Image.fromarray(_to_uint8(np.asarray(image))).convert("RGB")


def to_array(image: object) -> np.ndarray:
    """Return an image as uint8 (H, W, 3); arguments and errors are those of `to_pillow`."""
    return np.asarray(to_pillow(image))


def to_arrays(images: Any) -> list[np.ndarray]:
    """Return several images as uint8 (H, W, 3) each.

    Args:
        images: A list of images, or an array (N, H, W, 3); each as for `to_pillow`.

    Raises:
        FileNotFoundError: If a path does not exist.
        ValueError: If it is a single image, or an image is invalid.
    """
    if isinstance(images, str | os.PathLike | Image.Image):
        raise ValueError(f"`images` must be a list of images. Received: the image {images}")
    if hasattr(images, "shape") and len(images.shape) < 4:
        raise ValueError(
            "`images` must be a list of images, or an array (N, height, width, 3). "
            f"Received: an array of shape {tuple(images.shape)}"
        )
    return [to_array(image) for image in images]


def with_channels(pixels: np.ndarray, channels: int, model: str) -> np.ndarray:
    """Return RGB images with the number of channels that a model takes.

    Args:
        pixels: uint8 or float (..., 3), 0..255.
        channels: 3, or 1 for the luma of ITU-R 601, which Pillow's mode "L" holds.
        model: Name of the model, for the message.

    Raises:
        ValueError: If it is another number: photographs lack the further channels.
    """
    if channels == pixels.shape[-1]:
        return pixels
    if channels != 1:
        raise ValueError(
            "`model` must take images with 3 channels or 1 to be run on photographs; pass arrays "
            f"with all channels to `Predictor.predict`. Received: {model} with {channels} channels"
        )
    luma = pixels.astype(np.float32) @ np.array(LUMA, np.float32)
    made = np.rint(luma) if pixels.dtype == np.uint8 else luma
    return made.astype(pixels.dtype)[..., np.newaxis]


def _to_uint8(array: np.ndarray) -> np.ndarray:
    gray = array.ndim == 2
    color = array.ndim == 3 and array.shape[-1] == 3
    if not (gray or color) or array.size == 0 or not np.issubdtype(array.dtype, np.number):
        raise ValueError(
            "An image array must have the shape (height, width, 3) or (height, width) and hold "
            f"numbers 0..255. Received: shape {array.shape}, dtype {array.dtype}"
        )
    if array.dtype == np.uint8:
        return array
    if not np.isfinite(array).all():
        raise ValueError("An image array must hold numbers 0..255. Received: NaN or infinity")
    if array.min() < -_ROUNDING or array.max() > 255 + _ROUNDING:
        raise ValueError(
            "An image array must hold numbers 0..255. "
            f"Received: {array.min()} to {array.max()}, dtype {array.dtype}"
        )
    if array.dtype.kind == "f" and array.max() <= 1 and (array % 1).any():
        warnings.warn(
            "An image array must hold numbers 0..255; multiply one of 0..1 by 255. "
            f"Received: {array.min():.3g} to {array.max():.3g}, dtype {array.dtype}",
            stacklevel=2,
        )
    return np.clip(np.rint(array), 0, 255).astype(np.uint8)
