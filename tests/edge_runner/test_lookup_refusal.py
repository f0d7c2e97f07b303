"""Look-up tables of TensorFlow Lite Micro, which no runtime on a device with Linux takes."""

import dataclasses
from pathlib import Path

import pytest

from edge_runner.check import LOOKUP, check_can_run
from edge_runner.cursor import ModelFileError
from edge_runner.graph import read_graph

FILE = Path(__file__).parents[1] / "data" / "blobs_int8.tflite"


def test_a_file_with_look_up_tables_is_refused_with_the_reason() -> None:
    content = FILE.read_bytes()
    graph = read_graph(content)
    check_can_run(graph, content)
    with pytest.raises(ModelFileError, match="TensorFlow Lite Micro alone runs; take the file"):
        check_can_run(dataclasses.replace(graph, custom_operators=(LOOKUP,)), content)
