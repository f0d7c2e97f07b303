"""edge_runner.shapes: an extent that the file leaves open is given, told by the data, or the model is not measured."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runner import shapes
from edge_runner.arguments import Options, parse_arguments
from edge_runner.shapes import ShapeError
from edge_runner.subject import Subject
from edge_runner.unpacking import Unpacking

FOLDER = Path(__file__).parents[1] / "data"
OPEN, PLAIN = FOLDER / "tflite" / "open_extents.tflite", FOLDER / "two_inputs.tflite"


def with_shapes(*paths, **options):
    subjects = [Subject(path, number) for number, path in enumerate(paths)]
    for subject in subjects:
        subject.read(None, Unpacking())
    shapes.set_shapes(subjects, Options(paths, **options))
    return subjects


def test_an_open_input_without_a_shape_is_the_models_reason():
    subject, other = with_shapes(OPEN, PLAIN)
    assert not subject.sound
    assert subject.entry["reason"].endswith("give --shape image=1,N,N,3, or --data")
    assert other.sound


def test_the_data_settle_what_is_open():
    (subject,) = with_shapes(OPEN, data=Path("x.npz"))
    assert (subject.sound, subject.shapes, subject.open_inputs) == (True, {}, ["image"])


@pytest.mark.parametrize("name", ["image", ""])
def test_a_shape_goes_to_the_input_it_names_and_may_leave_out_the_only_name(name):
    (subject,) = with_shapes(OPEN, shapes=((name, (1, 8, 9, 3)),))
    assert (subject.sound, subject.shapes) == (True, {"image": [1, 8, 9, 3]})


def test_each_file_takes_the_shapes_of_its_own_inputs():
    first, second = with_shapes(OPEN, PLAIN, shapes=(("image", (1, 8, 9, 3)),))
    assert (first.shapes, second.shapes, second.sound) == ({"image": [1, 8, 9, 3]}, {}, True)


@pytest.mark.parametrize("extents", [(1, 8, 9), (1, 8, 9, 1), (2, 8, 9, 3), (1, 8, 9, 3, 1)])
def test_a_shape_that_the_file_does_not_take_is_the_models_reason(extents):
    (subject,) = with_shapes(OPEN, shapes=(("image", extents),))
    got = ",".join(map(str, extents))
    assert subject.entry["reason"] == f"--shape for input 'image' must be like 1,N,N,3, got {got}"


def test_a_shape_without_a_name_says_which_inputs_there_are():
    (subject,) = with_shapes(PLAIN, shapes=(("", (1, 3)),))
    assert subject.entry["reason"].startswith("--shape must name one of the 2 inputs: length=")


def test_a_name_that_no_file_has_is_refused():
    with pytest.raises(ShapeError, match="--shape names 'picture', which is no input of any file; they have image"):
        with_shapes(OPEN, shapes=(("picture", (1, 8, 9, 3)),))


@given(st.lists(st.sampled_from([-1, 1, 3, 7]), min_size=1, max_size=5), st.data())
def test_what_fills_the_open_extents_fits_and_nothing_else(shape, data):
    extents = [
        size if size > 0 else 1 if place == 0 else data.draw(st.integers(1, 9)) for place, size in enumerate(shape)
    ]
    assert shapes.shape_problem({"x": tuple(shape)}, {"x": tuple(extents)}, has_data=False) is None
    wrong = [size + 1 for size in extents]
    assert bool(shapes.shape_problem({"x": tuple(shape)}, {"x": tuple(wrong)}, has_data=False)) == (
        shape[0] == -1 or any(size >= 0 for size in shape)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "x=1,y"], "argument --shape: must be a whole number of at least 1, got 'y'"),
        (["--shape", "x=1,0"], "argument --shape: must be a whole number of at least 1, got '0'"),
        (["--shape", "x=1,2", "--shape", "x=1,3"], "--shape gives 'x', 'x' several times"),
        (["--shape", "1,2", "--data", str(PLAIN)], "--shape is for made-up inputs"),
    ],
)
def test_shapes_that_cannot_be_meant_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["m.tflite", *arguments])
    assert message in capsys.readouterr().err
