"""A child that answers that it is ready, and then does to a file that it is given what its name says."""

import os
import signal
import time

from tfcompress.serve import serve


def main(requests, answers, lifeline):
    serve(answer, requests, answers, lifeline)


def answer(request):
    path = request.get("load") or request.get("look")
    if path:
        name = os.path.basename(path)  # noqa: PTH119
        if name == "hangs":
            time.sleep(60)
        if name == "crashes":
            os.kill(os.getpid(), signal.SIGSEGV)
        if name == "aborts":
            os.kill(os.getpid(), signal.SIGABRT)
        if name == "hungers":
            raise MemoryError
        if name == "fails":
            msg = "first line\nsecond line"
            raise LookupError(msg)
        return {"seconds": 5.0 if name == "dawdles" else 0.0}
    return {}
