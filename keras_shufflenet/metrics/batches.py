"""The batches of a data set as arrays."""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf


def arrays(dataset: tf.data.Dataset) -> Iterator[Any]:
    """Go through a data set of images.

    Raises:
        ValueError: an image cannot be decoded; the message names the file.
    """
    try:
        yield from dataset.as_numpy_iterator()
    except (tf.errors.InvalidArgumentError, tf.errors.UnknownError) as error:
        raise ValueError(
            f"Every image must be a whole file that can be decoded. Received: {error.message}"
        ) from error
