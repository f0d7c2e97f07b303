"""Measure TFLite models on the device they are meant for: ``python3 edge_runner model.tflite``.

The folder is copied whole to the device. It needs Python 3.9 or later, numpy, and one interpreter: ``ai_edge_litert``,
``tflite_runtime`` or ``tensorflow``. Each model runs in a process of its own, so that one which crashes the interpreter
is an entry in the result and the others go on. The result is one JSON document; see :mod:`edge_runner.document`.
"""
