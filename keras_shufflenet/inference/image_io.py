"""Images as users pass them: paths, Pillow images and arrays."""

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def to_pillow(image: object) -> Image.Image:
    """Open or convert an image; the EXIF orientation of files is applied.

    Args:
        image: A path, a `PIL.Image`, or an array (H, W, 3) or (H, W), RGB, 0..255.

    Returns:
        An RGB image.

    Raises:
        FileNotFoundError: If the path does not exist.
        ValueError: If the file is not an image, or the array has another shape or is not finite.
    """
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if isinstance(image, str | os.PathLike):
        return _open(Path(image))
    return Image.fromarray(_to_uint8(np.asarray(image))).convert("RGB")


def to_array(image: object) -> np.ndarray:
    """Return an image as uint8 (H, W, 3); arguments and errors are those of `to_pillow`."""
    return np.asarray(to_pillow(image))


def _open(path: Path) -> Image.Image:
    if not path.is_file():
        raise FileNotFoundError(f"The image must be an existing file. Received: {path}")
    try:
        with Image.open(path) as opened:
            return ImageOps.exif_transpose(opened).convert("RGB")
    except OSError as error:
        raise ValueError(f"The image cannot be read ({error}). Received: {path}") from error


def _to_uint8(array: np.ndarray) -> np.ndarray:
    gray = array.ndim == 2
    color = array.ndim == 3 and array.shape[-1] == 3
    if not (gray or color) or array.size == 0 or not np.issubdtype(array.dtype, np.number):
        raise ValueError(
            "An image array must have the shape (height, width, 3) or (height, width) and hold "
            f"numbers 0..255. Received: shape {array.shape}, dtype {array.dtype}"
        )
    if not np.isfinite(array).all():
        raise ValueError("An image array must hold numbers 0..255. Received: NaN or infinity")
    return np.clip(np.rint(array), 0, 255).astype(np.uint8)
