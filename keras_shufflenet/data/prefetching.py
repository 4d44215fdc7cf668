"""The last step of every pipeline."""

import tensorflow as tf


def prefetched(dataset: tf.data.Dataset, batches: int) -> tf.data.Dataset:
    """Prepare batches ahead of their use.

    Autotuning is switched off: nothing is left to it here, and its thread wakes at intervals that
    double up to a minute. Now and then the end of an iterator, and with it `fit`, waits for that.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(batches).with_options(options)
