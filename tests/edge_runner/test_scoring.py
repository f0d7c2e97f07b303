"""The child's session, run in this process on small models."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_runner import delegation, flatbuffer
from edge_runner.arrays import ArrayError
from edge_runner.child import ChildSession

DATA = Path(__file__).parents[1] / "data"


def session(tmp_path, name, arrays, **options):
    path, data = DATA / name, tmp_path / f"{len(list(tmp_path.iterdir()))}.npz"  # a new name: an open one is mapped
    np.savez(data, **arrays)
    facts = flatbuffer.read_facts(path.read_bytes())
    opened = ChildSession(lambda text: None)
    opened.answer(
        {
            "do": "open",
            "shapes": {},
            "path": str(path),
            "runtime": "litert",
            "threads": 1,
            "kernels": "default",
            "affinity": None,
            "names": {"inputs": facts.inputs, "outputs": facts.outputs},
            "data": str(data) if arrays else None,
            "labels": None,
            "expects": facts.expects,
            "seed": 0,
            **options,
        }
    )
    return opened


def outputs_of(opened, tmp_path, **options):
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    answer = opened.answer(
        {"do": "score", "task": "auto", "limit": None, "predictions": False, "folder": str(folder), **options}
    )
    return answer, [np.load(path) for path in sorted(folder.iterdir())]


def test_inputs_and_outputs_go_by_name(tmp_path):
    random = np.random.default_rng(0)
    length, width = random.random((5, 3)), random.random((5, 2))
    opened = session(tmp_path, "two_inputs.tflite", {"x.width": width, "x.length": length})
    names = [tensor.name for tensor in opened.model.outputs]
    _, outputs = outputs_of(opened, tmp_path)
    shapes = dict(zip(names, (output.shape for output in outputs), strict=True))
    assert shapes == {"narrow": (5, 1), "wide": (5, 2)}
    swapped = session(tmp_path, "two_inputs.tflite", {"x.width": width[::-1], "x.length": length})
    assert not np.allclose(outputs_of(swapped, tmp_path)[1][0], outputs[0])


def test_several_outputs_are_scored_each_by_its_labels(tmp_path):
    arrays = {
        "x.width": np.ones((2, 2)),
        "x.length": np.ones((2, 3)),
        "y.wide": np.full((2, 2), 0.5),
        "y.narrow": np.full((2, 1), 0.5),
    }
    answer, outputs = outputs_of(session(tmp_path, "two_inputs.tflite", arrays), tmp_path)
    assert set(answer["outputs"]) == {"wide", "narrow"}
    wide = next(output for output in outputs if output.shape == (2, 2))
    assert answer["outputs"]["wide"]["mae"] == pytest.approx(np.abs(wide - 0.5).mean())


def test_a_stateful_model_starts_every_sample_afresh(tmp_path):
    samples = np.random.default_rng(1).normal(size=(3, 4, 3)).astype(np.float32)
    together = outputs_of(session(tmp_path, "lstm.tflite", {"x": samples}), tmp_path)[1][0]
    for index in range(3):
        alone = outputs_of(session(tmp_path, "lstm.tflite", {"x": samples[index : index + 1]}), tmp_path)[1][0]
        np.testing.assert_array_equal(alone[0], together[index])


def test_without_a_reset_that_model_would_remember(tmp_path):
    opened = session(tmp_path, "lstm.tflite", {"x": np.ones((1, 4, 3))})
    opened.model.invoke()
    assert not np.array_equal(opened.model.get(opened.model.outputs[0]), outputs_of(opened, tmp_path)[1][0])


def test_float_data_is_quantized_for_an_int8_model_and_int8_data_is_not(tmp_path):
    images = np.random.default_rng(2).uniform(-1, 1, (4, 8, 8, 1)).astype(np.float32)
    opened = session(tmp_path, "blobs_int8.tflite", {"x.image": images})
    tensor = opened.model.inputs[0]
    stored = np.clip(np.round(images / np.float32(tensor.scale)) + tensor.zero_point, -128, 127).astype(np.int8)
    direct = session(tmp_path, "blobs_int8.tflite", {"x.image": stored})
    np.testing.assert_array_equal(outputs_of(opened, tmp_path)[1][0], outputs_of(direct, tmp_path)[1][0])


def test_the_reference_kernels_agree_with_the_fast_ones_within_a_step(tmp_path):
    arrays = {"x": np.random.default_rng(3).uniform(-1, 1, (20, 8, 8, 1)).astype(np.float32)}
    fast = outputs_of(session(tmp_path, "blobs_int8.tflite", arrays), tmp_path)[1][0]
    plain_session = session(tmp_path, "blobs_int8.tflite", arrays, kernels="reference")
    plain = outputs_of(plain_session, tmp_path)[1][0]
    assert delegation.delegate_name(plain_session.model.nodes()) == "none"
    assert np.abs(fast.astype(int) - plain).max() <= 1
    assert fast.std() > 10  # outputs that vary, so that agreement means something


def test_a_limit_scores_the_first_samples(tmp_path):
    arrays = {"x": np.zeros((9, 8, 8, 1), np.float32), "y": np.zeros(9, int)}
    answer, outputs = outputs_of(session(tmp_path, "blobs_float.tflite", arrays), tmp_path, limit=4, predictions=True)
    assert answer["outputs"]["scores"]["samples"] == len(outputs[0]) == 4
    assert len(answer["outputs"]["scores"]["predictions"]) == 4


def test_fewer_labels_than_samples_are_refused(tmp_path):
    arrays = {"x": np.zeros((9, 8, 8, 1), np.float32), "y": np.zeros(8, int)}
    with pytest.raises(ArrayError, match="a label for each of the 9 samples, got 8 for 'scores'"):
        outputs_of(session(tmp_path, "blobs_float.tflite", arrays), tmp_path)


def test_without_data_there_is_nothing_to_score(tmp_path):
    opened = session(tmp_path, "blobs_float.tflite", {})
    assert (
        opened.answer({"do": "score", "task": "auto", "limit": None, "predictions": False, "folder": None})["outputs"]
        == {}
    )


def test_warming_up_and_timing_say_what_they_did(tmp_path):
    opened = session(tmp_path, "blobs_float.tflite", {})
    assert opened.answer({"do": "warm", "runs": 0, "seconds": 0.0})["runs"] == 0
    assert opened.answer({"do": "warm", "runs": 3, "seconds": 0.0})["runs"] == 3
    request = {"do": "time", "runs": 7, "seconds": 0.0, "untimed_seconds": 0.0, "most": 100, "full_time": False}
    block = opened.answer(request)
    assert len(block["samples_ns"]) == 7
    assert min(block["samples_ns"]) > 0
    assert block["peak_bytes"] > 1_000_000


def test_which_samples_were_right_is_told_for_the_comparison(tmp_path):
    images = np.zeros((3, 8, 8, 1), np.float32)
    opened = session(tmp_path, "blobs_float.tflite", {"x": images})
    guess = int(outputs_of(opened, tmp_path)[1][0][0].argmax())
    labels = np.array([guess, (guess + 1) % 4, guess])
    answer, _ = outputs_of(session(tmp_path, "blobs_float.tflite", {"x": images, "y": labels}), tmp_path)
    assert answer["right"] == {"scores": "3:a0"}  # 101


def test_an_autoencoder_is_scored_against_its_own_real_valued_input(tmp_path):
    random = np.random.default_rng(5)
    together = random.uniform(-1, 1, (20, 2)) @ np.random.default_rng(7).normal(0, 0.5, (2, 6))  # as it was trained
    samples = together.astype(np.float32)
    samples[10:] = random.permuted(samples[10:], axis=1)  # as no machine in order would read
    truth = np.repeat([0, 1], 10)
    opened = session(tmp_path, "autoencoder_int8.tflite", {"x": samples, "y": truth})
    answer, outputs = outputs_of(opened, tmp_path)
    (score,) = answer["outputs"].values()
    assert (score["task"], answer["right"]) == ("autoencoder", {})
    (tensor,) = opened.model.outputs
    error = (outputs[0].astype(np.float32) - tensor.zero_point) * np.float32(tensor.scale) - samples
    assert score["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    mean_squares = np.square(error).mean(axis=1)
    assert score["auc"] == np.mean([high > low for high in mean_squares[10:] for low in mean_squares[:10]])
    assert score["auc"] > 0.8


def test_a_segmentation_is_scored_by_its_pixels(tmp_path):
    images = np.full((2, 8, 8, 1), -0.5, np.float32)
    images[:, :, 4:] = 0.5
    labels = np.zeros((2, 8, 8), np.uint8)
    labels[:, :, 4:] = 1
    labels[1, :, 7] = 255  # these eight pixels do not count
    answer, _ = outputs_of(session(tmp_path, "segmentation_int8.tflite", {"x": images, "y": labels}), tmp_path)
    score = answer["outputs"]["pixels"]
    assert (score["task"], score["mean_iou"]) == ("segmentation", 1)
    assert score["confusion"] == [[0, 0, 2 * 8 * 4], [1, 1, 2 * 8 * 4 - 8]]


def test_labels_of_another_task_than_asked_for_are_refused(tmp_path):
    arrays = {"x": np.zeros((2, 8, 8, 1), np.float32), "y": np.zeros(2, int)}
    opened = session(tmp_path, "blobs_float.tflite", arrays)
    with pytest.raises(ArrayError, match="task binary needs an output of one value a sample"):
        opened.answer({"do": "score", "task": "binary", "limit": None, "predictions": False, "folder": None})


def test_data_larger_than_what_is_held_is_let_go_again(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((50_000, 8, 8, 1), np.float64))
    np.save(tmp_path / "y.npy", np.zeros(50_000, np.int64))
    code = (
        "import sys, edge_runner.child as child, edge_runner.flatbuffer as flatbuffer, edge_runner.environment as e\n"
        "s = child.ChildSession(lambda text: None)\n"
        "facts = flatbuffer.read_facts(open(sys.argv[1], 'rb').read())\n"
        "names = {'inputs': facts.inputs, 'outputs': facts.outputs}\n"
        "s.answer(dict(do='open', path=sys.argv[1], runtime='litert', threads=1, kernels='default', affinity=None,\n"
        "    names=names, data=sys.argv[2], labels=sys.argv[3], expects={}, shapes={}, seed=0))\n"
        "before = e.peak_memory_bytes()\n"
        "found = s.answer(dict(do='score', task='auto', limit=None, predictions=False, folder=None))\n"
        "print(found['outputs']['scores']['samples'], e.peak_memory_bytes() - before)"
    )
    paths = (DATA / "blobs_float.tflite", tmp_path / "x.npy", tmp_path / "y.npy")
    command = [sys.executable, "-c", code, *map(str, paths)]
    samples, grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(samples) == 50_000
    assert (tmp_path / "x.npy").stat().st_size == 128 + 50_000 * 8 * 8 * 8
    assert int(grown) < 22_000_000  # 16 MiB of the data are held, and what each sample was taken for
