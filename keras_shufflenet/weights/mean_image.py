"""The mean image that belongs to the published weights of ShuffleNetV2.Large."""

import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet.weights.errors import CheckpointError

SIZE = 224
NODE = "MeanImg/data"


def read_mean_image(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read ``ImageNet_1000_scale224_mean.xml``, which the publisher keeps beside the weights.

    Args:
        path: of the file, in OpenCV's storage format.

    Returns:
        (224, 224, 3), RGB 0..255, for ``ShuffleNetV2Large(mean_image=...)``.

    Raises:
        CheckpointError: a ValueError, if the file is not such an image.
        FileNotFoundError: if there is no file.
    """
    content = Path(path).read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise CheckpointError(f"A mean image has no document type. Received: {path}")
    try:
        numbers = (ElementTree.fromstring(content).findtext(NODE) or "").split()
        values = np.array(numbers, np.float32)
    except (ElementTree.ParseError, ValueError) as error:
        raise CheckpointError(f"{path} is not a mean image: {error}. Received: {path}") from error
    if values.size != SIZE * SIZE * 3 or not np.isfinite(values).all():
        raise CheckpointError(
            f"A mean image has {SIZE} × {SIZE} × 3 finite numbers under {NODE}. "
            f"Received: {values.size} numbers in {path}"
        )
    blue_green_red = values.reshape(SIZE, SIZE, 3)
    return np.ascontiguousarray(blue_green_red[:, :, ::-1])
