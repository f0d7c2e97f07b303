"""Memory that a training step frees is there for the next one, after TensorFlow's generator datasets as before."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, resource
from tfcompress.data.feeding import to_tf
from tfcompress.data.freed_memory import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        blocks = [libc.malloc(1 << 20) for _ in range(20)]
        for block in blocks:
            libc.memset(block, 1, 1 << 20)
        for block in blocks:
            libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if %r == "tensorflow":
    import tensorflow as tf
    list(tf.data.Dataset.from_generator(lambda: iter([0]), output_signature=tf.TensorSpec((), tf.int32)))
else:
    from tests.data_sources.test_feeding import numbers
    list(to_tf(numbers(8), 4, 0))
    assert keep_freed_memory()
pages()
print(pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs mallopt")
@pytest.mark.parametrize(("fed_by", "mapped"), [("tensorflow", True), ("us", False)])
def test_blocks_that_were_freed_are_not_mapped_page_by_page_again(fed_by: str, mapped: bool) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT % fed_by], capture_output=True, text=True, check=True)
    again = int(done.stdout.split()[-1])
    assert (again > 10 * 20 * 100) == mapped, again  # of 256 pages a block
    assert mapped or again < 2000
