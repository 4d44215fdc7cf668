"""Errors that name the file: what TensorFlow's decoders do not do by themselves."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def load_batches(
    batches: tf.data.Dataset,
    load: Callable[[Any], Any],
    path: Callable[[Any], tf.Tensor],
    *,
    batch_size: int,
    workers: int,
) -> tf.data.Dataset:
    """Load the samples of batches, in order; where it fails, the error names the file.

    Samples that fail are dropped from the stream first. Every batch ends in a mark, which cannot
    fail; so the gap is seen when the stream is batched again, at the latest at the mark.

    Args:
        batches: of structures of tensors with one row per sample.
        load: takes one sample and returns its structure of tensors, all of known shape.
        path: takes samples and returns their files.
        batch_size: samples in a batch; the last one may be smaller.
        workers: samples loaded at the same time.

    Returns:
        The batches of loaded samples. Iterating raises `tf.errors.InvalidArgumentError` where
        `load` fails.
    """
    traced = tf.function(load, autograph=False)

    def load_or_mark(row: tf.Tensor, is_mark: tf.Tensor, before: tf.Tensor, sample: Any) -> Any:
        outputs = traced.get_concrete_function(sample).structured_outputs
        blank = tf.nest.map_structure(lambda output: tf.zeros(output.shape, output.dtype), outputs)
        return row, before, tf.cond(is_mark, lambda: blank, lambda: traced(sample))

    rows = batches.map(lambda *batch: _append_mark(batch[0] if len(batch) == 1 else batch, path))
    loaded = rows.unbatch().map(load_or_mark, num_parallel_calls=workers)
    return loaded.ignore_errors().batch(batch_size + 1).map(_check)


def _append_mark(batch: Any, path: Callable[[Any], tf.Tensor]) -> tuple[Any, ...]:
    """Number the rows, append the mark, and tell each row the file of the one before it."""
    before = tf.concat([[""], path(batch)], axis=0)
    row = tf.range(tf.size(before))
    marked = tf.nest.map_structure(lambda column: tf.concat([column, column[-1:]], 0), batch)
    return row, row == tf.size(before) - 1, before, marked


def _check(row: tf.Tensor, before: tf.Tensor, loaded: Any) -> Any:
    """Complain about the first gap in the numbers of the rows; remove the mark."""
    expected = tf.range(tf.size(row))
    gap = tf.argmax(row != expected)
    tf.debugging.Assert(
        tf.reduce_all(row == expected),
        [
            "An image must be a whole JPEG, PNG, GIF or BMP file of the size that its annotations "
            "state. Received:",
            before[gap],
        ],
    )
    return tf.nest.map_structure(lambda column: column[:-1], loaded)
