"""Memory that a step of a training gives back, kept for the next one.

TensorFlow's generator datasets, which ``fit`` is fed by, set glibc's ``M_TRIM_THRESHOLD`` to 128 KiB when the first one
runs (generator_dataset_op.cc logs "Memory patch applied"), and so end glibc's own adjustment of both its thresholds:
from then on what a step frees goes back to the kernel, and the next step gets it page by page. On a CPU that took as
long as the training itself: 24 s in place of 12 for sixty steps of a network of ResNet8's size.
"""

from __future__ import annotations

import ctypes
import functools

_M_TRIM_THRESHOLD = -1  # malloc.h
_M_MMAP_THRESHOLD = -3
MAPPED_BYTES = 32 << 20
"""Blocks as large as this are mapped by themselves: the most to which glibc itself raises the threshold on 64 bits."""


@functools.cache
def keep_freed_memory() -> bool:
    """Let glibc keep what is freed as it does by itself (see mallopt(3)), after TensorFlow has had its way.

    Returns:
        Whether it does; False where the C library has no ``mallopt`` or refuses, and memory is managed as before.
    """
    import tensorflow as tf

    with tf.init_scope():  # also where a graph is being built
        one = tf.data.Dataset.from_generator(lambda: iter([0]), output_signature=tf.TensorSpec((), tf.int32))
        for _ in one:  # TensorFlow changes the settings once, when the first one runs
            pass
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc: TensorFlow has changed nothing, either
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES) and mallopt(_M_TRIM_THRESHOLD, 2 * MAPPED_BYTES))
