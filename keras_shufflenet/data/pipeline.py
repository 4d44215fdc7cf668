"""Order and random numbers of samples, as pure functions of the seed and the sample's number.

Samples are numbered through from the start of training, over all epochs, so that a training can
go on from any of them.
"""

import tensorflow as tf


def shuffled(number: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """Return which of `count` items a sample (int64 scalar) shows; every epoch shows each once."""
    return tf.random.experimental.index_shuffle(
        number % count,
        seed=tf.stack([tf.constant(seed, tf.int64), number // count]),
        max_index=tf.constant(count - 1, tf.int64),
    )


def uniform(number: tf.Tensor, count: int, seed: int) -> tf.Tensor:
    """Return `count` numbers from [0, 1), float64, of a sample (int64 scalar)."""
    state = tf.stack([tf.constant(seed, tf.int64), number])
    return tf.random.stateless_uniform([count], state, dtype=tf.float64, alg="philox")


def check_batch(batch_size: int, start: int) -> None:
    """Complain about impossible batch sizes and starts.

    Raises:
        ValueError: see there.
    """
    if batch_size < 1 or start < 0:
        raise ValueError(
            "`batch_size` must be positive and `start` not negative. "
            f"Received: batch_size={batch_size}, start={start}"
        )
