"""Loads hostile files as people do who trust them, each in a process of its own, and tells what the trap caught.

``python hostile_range.py FOLDER`` prints JSON: by form and name, the list of traces. One process imports TensorFlow and
the Kerases for all of them.
"""

import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

from tests.safety.hostile import HOSTILE
from tests.safety.hostile_forms import Trap

SECONDS = 8.0
"""How long one of them may load; what takes longer hangs."""


def keep_offline(trap):
    """Leave a trace of each try to reach the network, and let none succeed."""

    def hook(event, args):
        local = event == "urllib.Request" and str(args[0]).startswith("file:")
        if event in ("socket.getaddrinfo", "socket.connect", "urllib.Request") and not local:
            (trap.folder / "fetched").touch()
            msg = "there is no network here"
            raise OSError(msg)

    sys.addaudithook(hook)


def load(file, path):
    """Load a file with the library that it is for, trustingly unless it fires in safe mode too."""
    import keras
    import numpy as np
    import tensorflow as tf
    import tf_keras

    if file.form == "savedmodel":
        loaded = tf.saved_model.load(str(path))
        if file.fires == "call":
            loaded.signatures["serving_default"](x=tf.ones((1, 4)))
        return
    safe = file.fires == "safe"
    if file.form.startswith("keras3"):
        model = keras.saving.load_model(path, compile=False, safe_mode=safe)
    else:
        options = {} if file.form.endswith(".h5") else {"safe_mode": safe}
        model = tf_keras.models.load_model(path, compile=False, **options)
    if file.fires == "call":
        model(np.ones((1, 4), "float32"))


def fire(file, folder):
    """Load one file in a child process and return the trap's traces, ``hung`` among them."""
    trap = Trap(folder / "trap").set()
    path = folder / file.filename
    child = os.fork()
    if not child:
        try:
            os.chdir(trap.folder)
            sys.path.insert(0, str(trap.folder))
            file.write(path, trap)
            trap.set()
            keep_offline(trap)
            load(file, path)
        except BaseException:  # noqa: BLE001 - only what it left behind counts
            os._exit(1)
        os._exit(0)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return trap.traces()
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return [*trap.traces(), "hung"]


def main(root):
    """Fire what is said to fire, and does not fill the memory."""
    warnings.simplefilter("ignore")
    importing = ("keras", "tf_keras", "tensorflow_model_optimization")
    for name in importing:
        __import__(name)
    fired = {}
    for number, file in enumerate(HOSTILE):
        if file.fires in ("safe", "load", "call") and file.harm != "fills":
            fired[f"{file.form} {file.name}"] = fire(file, root / str(number))
    print(json.dumps(fired))  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main(Path(sys.argv[1]))
