"""The smallest arena that TensorFlow Lite Micro sets a file up and runs it in, found by trying.

It may be larger than what the recorder counts: while tensors and ops are prepared, memory is taken and given back.
Where the head is large, that fits in there; an SVDF net of 10,032 bytes by the recorder wanted 12,944.
"""

from __future__ import annotations

from tfcompress.errors import MissingDependencyError, UnsupportedError
from tfcompress.worker import Worker, WorkerAnswerError, WorkerDiedError

_CHILD = "tfcompress.tflite.micro.least_arena_child"


def least_arena_bytes(content: bytes, recorded_bytes: int, *, run: bool = True) -> int:
    """Return the size of the smallest arena, to 16 bytes.

    Args:
        content: a file that TensorFlow Lite Micro runs.
        recorded_bytes: what its recorder counts; no smaller arena is tried.
        run: whether it has to run there, too, and not only to be set up.

    Raises:
        MissingDependencyError: tflite-micro is not installed.
        UnsupportedError: no arena is enough, as far as was tried.
    """
    with Worker(_CHILD) as worker:
        path = worker.folder / "model.tflite"
        path.write_bytes(content)
        worker.send({"file": str(path), "from": recorded_bytes, "run": run})
        try:
            return int(worker.receive()["bytes"])
        except WorkerAnswerError as error:
            if error.not_installed:
                msg = f"tflite-micro cannot be imported: {error.text}; pip install 'tfcompress[mcu]'"
                raise MissingDependencyError(msg) from error
            msg = f"TensorFlow Lite Micro does not run the file in any arena that was tried: {error.text}"
            raise UnsupportedError(msg) from error
        except WorkerDiedError as error:
            msg = f"TensorFlow Lite Micro does not run the file: it died by {error.reason}"
            raise UnsupportedError(msg) from error
