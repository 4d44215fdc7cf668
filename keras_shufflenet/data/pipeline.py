"""Shared parts of the tf.data pipelines: order, random numbers, loading, prefetching.

Samples are numbered from the start of training over all epochs. Order and random numbers are pure
functions of the seed and this number, so that training can be resumed at any step, and shared by
workers: each takes its part of the numbers of every batch.
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from keras_shufflenet._checks import check_integer, is_integer
from keras_shufflenet._requirements import PIXEL, check_memory
from keras_shufflenet._types import Size
from keras_shufflenet.data.corrupt_images import CorruptImages, active
from keras_shufflenet.data.image_files import LUMA, read_image
from keras_shufflenet.data.records import SCHEME, read_bytes

Shard = tuple[int, int]  # index of a worker, number of workers

ALL: Shard = (0, 1)
_ENDLESS = np.iinfo(np.int64).max
_ASSERTION = re.compile(r"assertion failed: \[(.*?)\]\s*(?:\[\[|$)", re.DOTALL)
_raised: list[Exception] = []  # the last error of a Python source


def check_batch(batch_size: int, start_step: int, shard: Shard, size: Size) -> None:
    """Check the arguments that all pipelines have; the images have this (height, width).

    Raises:
        ValueError: If `batch_size` is not positive, `start_step` is negative, `shard` is no worker
            of a number of workers, they cannot share a batch evenly, or one batch is larger than
            the memory.
    """
    check_integer("batch_size", batch_size)
    check_integer("start_step", start_step, minimum=0)
    is_pair = isinstance(shard, tuple | list) and len(shard) == 2 and all(map(is_integer, shard))
    if not is_pair or not 0 <= shard[0] < shard[1]:
        raise ValueError(
            "`shard` must be (index, count), the index of a worker from 0 and the number of "
            f"workers. Received: shard={shard!r}"
        )
    check_memory("batch_size", batch_size, batch_size // shard[1] * size[0] * size[1] * PIXEL)
    if batch_size % shard[1]:
        raise ValueError(
            f"`batch_size` must be a multiple of the {shard[1]} workers that share a batch. "
            f"Received: batch_size={batch_size}, shard={shard!r}"
        )


def sample_numbers(
    batch_size: int, start_step: int, shard: Shard, count: int | None = None
) -> tf.data.Dataset:
    """Return the numbers of the samples that a worker reads, in order.

    Of every batch each worker has the same number of samples, and those of all workers one after
    another are the batch. Where samples end within a batch, the last workers have fewer or none.

    Args:
        batch_size: Samples per batch of all workers.
        start_step: Number of batches to skip.
        shard: (index, count) of the worker.
        count: Number of samples; None for no end.

    Returns:
        A dataset of int64 scalars, to be batched by `batch_size // shard[1]`.
    """
    share = batch_size // shard[1]
    first, own = shard[0] * share, _ENDLESS
    if count is not None:
        full, rest = divmod(count, batch_size)
        own = full * share + min(max(rest - first, 0), share)
    numbers = tf.data.Dataset.range(min(start_step * share, own), own)
    if count is None:
        numbers = numbers.repeat()  # never reached, but it says that there is no end
    if shard[1] == 1:
        return numbers
    return mapped(numbers, lambda number: number // share * batch_size + first + number % share)


def check_channels(model: Any) -> int:
    """Return the number of channels that a model takes."""
    channels = int(model.inputs[0].shape[-1])
    if channels not in (1, 3):
        raise ValueError(
            "`model` must take images with 3 channels or 1: files hold photographs. "
            f"Received: {model.name} with {channels} channels"
        )
    return channels


def to_gray(images: tf.Tensor) -> tf.Tensor:
    """Return the luma (..., 1) of RGB images (..., 3), float32."""
    return tf.reduce_sum(images * tf.constant(LUMA), axis=-1, keepdims=True)


def shuffled(number: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """Return which of `count` items sample `number` (int64 scalar) is; an epoch has each once."""
    return tf.random.experimental.index_shuffle(
        number % count,
        seed=tf.stack([tf.constant(seed, tf.int64), number // count]),
        max_index=tf.constant(count - 1, tf.int64),
    )


def uniform(number: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """Return `count` random numbers in [0, 1), float64, for sample `number` (int64 scalar)."""
    state = tf.stack([tf.constant(seed, tf.int64), number])
    return tf.random.stateless_uniform([count], state, dtype=tf.float64, alg="philox")


def read_contents(path: tf.Tensor) -> tf.Tensor:
    """Return the bytes of an image file, or of an image in a record, by its path (a scalar)."""

    def read_record() -> tf.Tensor:
        contents = tf.numpy_function(lambda name: read_bytes(name.decode()), [path], tf.string)
        return tf.ensure_shape(contents, ())

    is_record = tf.strings.substr(path, 0, len(SCHEME)) == SCHEME
    return tf.cond(is_record, read_record, lambda: tf.io.read_file(path))


def load_batches(
    batches: tf.data.Dataset,
    load: Callable[[Any], Any],
    path: Callable[[Any], tf.Tensor],
    *,
    batch_size: int,
    workers: int,
) -> tf.data.Dataset:
    """Load the samples of batches in order; if a file cannot be loaded, the error names it.

    TensorFlow's decoders do not name the file. So samples that fail are first dropped from the
    stream. A sentinel row, which cannot fail, ends every batch; when the stream is batched again,
    a missing row is noticed at the sentinel at the latest.

    Args:
        batches: Dataset of nested tensors with one row per sample.
        load: Function from one sample to nested tensors of static shape.
        path: Function from samples to their file paths.
        batch_size: Samples per batch; the last batch may be smaller.
        workers: Number of samples loaded in parallel.

    Returns:
        A dataset of batches of loaded samples. Iterating raises
        `tf.errors.InvalidArgumentError` where `load` fails, unless it is built in a context of
        `skip_corrupt_images`.
    """
    traced = tf.function(load, autograph=False)

    def load_row(row: tf.Tensor, is_sentinel: tf.Tensor, previous: tf.Tensor, sample: Any) -> Any:
        outputs = traced.get_concrete_function(sample).structured_outputs
        zeros = tf.nest.map_structure(lambda output: tf.zeros(output.shape, output.dtype), outputs)
        return row, previous, tf.cond(is_sentinel, lambda: zeros, lambda: traced(sample))

    rows = mapped(
        batches, lambda *batch: _append_sentinel(batch[0] if len(batch) == 1 else batch, path)
    )
    if (corrupt := active()) is None:
        loaded = mapped(rows.unbatch(), load_row, workers)
        complete = mapped(loaded.ignore_errors().batch(batch_size + 1), _check_rows)
        return _of_length(complete, batches)

    def load_batch(*batch: Any) -> tf.data.Dataset:
        paths, each = batch[2][1:], tf.data.Dataset.from_tensor_slices(batch)
        loaded = mapped(each, load_row, workers).ignore_errors().batch(batch_size + 1)
        return mapped(loaded, lambda row, _, found: _fill_rows(row, paths, found, corrupt))

    # A dataset for each batch, as rows that are missing would shift those of the next.
    filled = rows.interleave(
        tf.autograph.experimental.do_not_convert(load_batch),
        cycle_length=2,
        num_parallel_calls=2,
        deterministic=True,
    )
    return _of_length(filled, batches)


def mapped(
    dataset: tf.data.Dataset, function: Callable[..., Any], workers: int | None = None
) -> tf.data.Dataset:
    """Map a dataset by a function of TensorFlow's operations, in parallel if there are workers.

    Without AutoGraph, which takes seconds to rewrite `if`, `for` and `while`: there are none that
    depend on tensors.
    """
    as_it_is = tf.autograph.experimental.do_not_convert(function)
    return dataset.map(as_it_is, num_parallel_calls=workers)


def prefetched(dataset: tf.data.Dataset, batches: int) -> tf.data.Dataset:
    """Prefetch a fixed number of batches.

    Autotuning is disabled: there is nothing to tune, and its thread sleeps for intervals of up to
    a minute, which the end of an iterator, and thus of `fit`, sometimes waits for.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(batches).with_options(options)


def num_batches(dataset: Any) -> float | None:
    """Return the number of elements of a dataset or list: infinity for no end, None if unknown."""
    if not isinstance(dataset, tf.data.Dataset):
        return len(dataset) if hasattr(dataset, "__len__") else None
    number = int(dataset.cardinality())
    if number == tf.data.INFINITE_CARDINALITY:
        return math.inf
    return None if number == tf.data.UNKNOWN_CARDINALITY else number


def _of_length(dataset: tf.data.Dataset, other: tf.data.Dataset) -> tf.data.Dataset:
    """Return a dataset that knows that it is as long as another one, if that knows its length."""
    if num_batches(other) is None:
        return dataset
    return dataset.apply(tf.data.experimental.assert_cardinality(other.cardinality()))


@contextmanager
def source_errors() -> Iterator[None]:
    """Keep an error of a Python source that TensorFlow runs, for `file_errors` to raise."""
    try:
        yield
    except Exception as error:
        _raised[:] = [error]
        raise


def iterate_arrays(dataset: tf.data.Dataset) -> Iterator[Any]:
    """Iterate over the batches of a dataset as NumPy arrays.

    Raises:
        ValueError: If an image cannot be decoded; the message names the file.
        Exception: Whatever a generator raises that the dataset was made of.
    """
    with file_errors():
        yield from dataset.as_numpy_iterator()


@contextmanager
def file_errors() -> Iterator[None]:
    """Raise ValueError for a file that a pipeline cannot read, without TensorFlow's stack.

    Raises:
        ValueError: If an image cannot be decoded; the message names the file.
        Exception: The error that a Python source raised in a context of `source_errors`.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if _raised and f"{type(_raised[0]).__name__}: {_raised[0]}" in error.message:
            raise _raised.pop() from None
        found = _ASSERTION.search(error.message)
        if found is None:
            raise
        raise ValueError(found[1]) from error


def _append_sentinel(batch: Any, path: Callable[[Any], tf.Tensor]) -> tuple[Any, ...]:
    """Number the rows, append the sentinel, and give each row the path of the previous one."""
    previous = tf.concat([[""], path(batch)], axis=0)
    row = tf.range(tf.size(previous))
    rows = tf.nest.map_structure(lambda column: tf.concat([column, column[-1:]], 0), batch)
    return row, row == tf.size(previous) - 1, previous, rows


def _check_rows(row: tf.Tensor, previous: tf.Tensor, loaded: Any) -> Any:
    """Raise an error that names the file of the first missing row; remove the sentinel."""
    expected = tf.range(tf.size(row))
    gap = tf.argmax(row != expected)
    complete = tf.reduce_all(row == expected)
    reason = tf.cond(
        complete,
        lambda: tf.constant(b""),
        lambda: tf.numpy_function(_explain, [previous[gap]], tf.string),
    )
    tf.debugging.Assert(complete, [reason])
    return tf.nest.map_structure(lambda column: column[:-1], loaded)


def _fill_rows(row: tf.Tensor, paths: tf.Tensor, loaded: Any, corrupt: CorruptImages) -> Any:
    """Replace missing rows by the next ones of the batch; remove the sentinel."""

    def report(missing: np.ndarray) -> bytes:
        for path in missing:
            if problem := corrupt.add(path.decode(), _reason(path.decode())):
                return problem.encode()
        return b""

    wanted, found = tf.range(tf.size(paths)), row[:-1]
    following = tf.searchsorted(found, wanted)
    count = tf.size(found)
    is_missing = tf.gather(tf.concat([found, [-1]], 0), following) != wanted
    problem = tf.cond(
        tf.reduce_any(is_missing),
        lambda: tf.numpy_function(report, [tf.boolean_mask(paths, is_missing)], tf.string),
        lambda: tf.constant(b""),
    )
    tf.debugging.Assert(tf.equal(problem, b""), [problem])
    none = "A batch must have an image that can be read. Received: a batch of corrupt images"
    tf.debugging.Assert(count > 0, [none])
    rows = following % tf.maximum(count, 1)
    return tf.nest.map_structure(lambda column: tf.gather(column[:-1], rows), loaded)


def _explain(path: bytes) -> bytes:
    """Say why a file was not loaded."""
    return _reason(path.decode()).encode()


def _reason(name: str) -> str:
    try:
        width, height = read_image(name).size
    except (ValueError, OSError) as error:
        return str(error)
    return (
        "An image must have the size that its annotations state. "
        f"Received: {width} × {height} pixels in {name}"
    )
