import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runner import accuracy
from edge_runner.arrays import ArrayError
from edge_runner.scorers import auc
from edge_runner.summary import wilson


def scored(labels, outputs, task="auto", **known):
    outputs = np.asarray(outputs)
    scorer = accuracy.scorer(np.asarray(labels), accuracy.Output(outputs.shape[1:], **known), task)
    for index, output in enumerate(outputs):
        scorer.take(index, output[None])
    return scorer.scorer


EYE = np.eye(3, dtype=np.float32)


def test_classification_counts_the_right_answers():
    scorer = scored([0, 1, 2, 0], EYE[[0, 1, 2, 1]])
    result = scorer.result()
    assert (result["task"], result["samples"], result["top1"]) == ("classification", 4, 3 / 4)
    assert (result["top1_low"], result["top1_high"]) == wilson(3, 4)
    assert result["per_class"] == {
        "0": {"samples": 2, "right": 1},
        "1": {"samples": 1, "right": 1},
        "2": {"samples": 1, "right": 1},
    }
    assert list(scorer.predictions) == [0, 1, 2, 1]
    assert result["confusion"] == [[0, 0, 1], [0, 1, 1], [1, 1, 1], [2, 2, 1]]
    assert scorer.right == "4:e0"  # 1110
    assert result["mae"] is result["threshold"] is None


@pytest.mark.parametrize("labels", [[[0], [1], [2]], EYE, np.array([0.0, 1.0, 2.0]), np.array([0, 1, 2], np.uint8)])
def test_class_numbers_come_in_several_forms(labels):
    assert scored(labels, EYE).result()["top1"] == 1


def test_a_model_may_choose_the_class_itself():
    scorer = scored([7, 0, 3], np.array([[7], [0], [9]]), class_numbers=True)
    result = scorer.result()
    assert (result["task"], result["top1"], result["top5"]) == ("classification", 2 / 3, None)
    assert result["confusion"] == [[0, 0, 1], [3, 9, 1], [7, 7, 1]]
    assert scorer.right == "3:c0"  # 110
    counted = scored([7, 0, 3], np.array([[7], [0], [9]]), "regression", class_numbers=True)
    assert counted.result()["mae"] == (0 + 0 + 6) / 3


def test_top5_is_given_where_it_says_something():
    outputs = np.arange(10)[None].repeat(2, 0)
    assert scored([5, 4], outputs).result()["top5"] == 1 / 2
    assert scored([0, 1, 2], EYE).result()["top5"] is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=6, max_size=6), st.integers(0, 5))
def test_a_tie_goes_to_the_lower_class_as_numpys_argmax_does(output, label):
    assert scored([label], [output]).result()["top1"] == float(np.argmax(output) == label)


def test_a_single_output_between_0_and_1_is_a_probability():
    result = scored([0, 1, 1, 0], [[0.2], [0.7], [0.4], [0.1]]).result()
    assert (result["task"], result["top1"], result["threshold"]) == ("binary", 3 / 4, 0.5)
    assert result["per_class"] == {"0": {"samples": 2, "right": 2}, "1": {"samples": 2, "right": 1}}


def test_an_output_that_is_no_number_is_wrong_and_predicts_nothing():
    scorer = scored([0, 1], [[np.nan, 0, 0], EYE[1]])
    assert (scorer.result()["top1"], list(scorer.predictions)) == (1 / 2, [-1, 1])
    assert scorer.result()["confusion"] == [[0, -1, 1], [1, 1, 1]]
    single = scored([0, 1], [[np.nan], [0.7]])
    assert (single.result()["top1"], single.predictions, single.result()["auc"]) == (1 / 2, [-1, 1], None)


def test_a_single_outputs_area_under_the_curve_is_the_share_of_pairs_in_order():
    # of class 1: 0.7 and 0.4; of class 0: 0.2 and 0.4: three pairs of four are in order, but for one tie
    assert scored([0, 1, 1, 0], [[0.2], [0.7], [0.4], [0.4]]).result()["auc"] == (3 + 1 / 2) / 4
    assert scored([1, 1], [[0.2], [0.7]]).result()["auc"] is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=2, max_size=12))
def test_the_area_is_that_of_counting_pairs(pairs):
    values, truth = zip(*pairs, strict=True)
    ones, zeros = ([v for v, t in pairs if t == wanted] for wanted in (1, 0))
    if ones and zeros:
        counted = sum((a > b) + (a == b) / 2 for a in ones for b in zeros) / (len(ones) * len(zeros))
        assert auc(values, truth) == pytest.approx(counted)
    else:
        assert auc(values, truth) is None


def test_a_single_output_beyond_is_a_logit():
    scorer = scored([0, 1], [[-3.0], [0.2]])
    assert (scorer.result()["top1"], scorer.result()["threshold"], scorer.predictions) == (1, 0, [0, 1])


def test_real_labels_make_a_regression():
    result = scored([[1.5], [2.5]], [[1.0], [4.5]]).result()
    assert (result["task"], result["mae"], result["top1"]) == ("regression", (0.5 + 2) / 2, None)
    assert result["rmse"] == pytest.approx(((0.25 + 4) / 2) ** 0.5)


def test_whole_numbers_beyond_0_and_1_with_one_output_are_values():
    assert scored([20, 40], [[21.0], [38.0]]).result()["mae"] == (1 + 2) / 2


def test_labels_of_the_outputs_shape_that_are_not_one_hot_are_values():
    assert scored([[0.5, 0.5, 0], [1, 1, 0]], EYE[:2]).result()["task"] == "regression"


def test_a_regression_that_gives_no_number_has_no_error():
    result = scored([[1.5], [2.5]], [[np.nan], [4.5]]).result()
    assert (result["samples"], result["mae"], result["rmse"]) == (2, None, None)


INPUTS = np.array([[1, 1, 1], [2, 2, 2], [0, 0, 0], [4, 4, 4]], np.float32)


def test_an_autoencoder_tells_anomalies_by_its_error():
    outputs = INPUTS + np.array([[0.1], [0.5], [0.2], [-0.9]], np.float32)
    scorer = scored([0, 1, 0, 1], outputs, input_shape=(3,), sample=INPUTS.__getitem__)
    result = scorer.result()
    assert (result["task"], result["auc"], result["samples"]) == ("autoencoder", 1, 4)
    assert result["mae"] == pytest.approx((0.1 + 0.5 + 0.2 + 0.9) / 4)
    assert scorer.predictions is scorer.right is None
    swapped = scored([0, 0, 1, 1], outputs, input_shape=(3,), sample=INPUTS.__getitem__)
    assert swapped.result()["auc"] == 3 / 4


def test_two_classes_of_two_inputs_are_no_autoencoder_unless_asked_for():
    labels, outputs = [0, 1], [[0.9, 0.1], [0.2, 0.8]]
    known = {"input_shape": (2,), "sample": np.asarray(outputs).__getitem__}
    assert scored(labels, outputs, **known).result()["task"] == "classification"
    assert scored(labels, outputs, "autoencoder", **known).result()["task"] == "autoencoder"


def test_an_autoencoder_needs_no_labels_and_knows_clips():
    output = accuracy.Output((3,), input_shape=(3,), sample=INPUTS.__getitem__)
    alone = accuracy.scorer(None, output, "autoencoder")
    alone.take(0, INPUTS + 1)
    assert (alone.scorer.result()["mse"], alone.scorer.result()["auc"]) == (1, None)
    clips = accuracy.scorer(np.array([0, 0, 1, 1]), output, "autoencoder", {"windows_of": 2})
    clips.take(0, INPUTS + np.array([[0], [1], [1], [2]]))
    assert (clips.scorer.result()["samples"], clips.scorer.result()["auc"]) == (2, 1)
    with pytest.raises(ArrayError, match=r"3 samples make a clip, says the data, and 4 .*give --limit a multiple of 3"):
        accuracy.scorer(np.array([0, 0, 1, 1]), output, "autoencoder", {"windows_of": 3})


def test_a_class_for_each_step_makes_tokens():
    result = scored(np.array([[0, 1, -1]]), EYE[[0, 0, 2]][None]).result()
    assert (result["task"], result["step_accuracy"], result["perplexity"]) == ("tokens", 1 / 2, None)
    known = accuracy.Output((3, 3))
    asked = accuracy.scorer(np.array([[0, 1, -1]]), known, "tokens", {"perplexity": True})
    asked.take(0, np.zeros((1, 3, 3), np.float32))
    assert asked.scorer.result()["perplexity"] == pytest.approx(3)


PLANE = np.array([[0, 0], [1, 255]])
SCORES = np.eye(2, dtype=np.float32)[[[0, 1], [1, 1]]]  # (2, 2, 2): the classes 0 1 / 1 1


@pytest.mark.parametrize("labels", [PLANE, PLANE[..., None]])
def test_a_segmentation_is_scored_by_pixels_and_255_does_not_count(labels):
    result = scored([labels], [SCORES]).result()
    # class 0: one of two found, none made up; class 1: one found, one made up
    assert result["class_iou"] == {"0": 1 / 2, "1": 1 / 2}
    assert (result["task"], result["mean_iou"], result["samples"]) == ("segmentation", 1 / 2, 1)
    assert result["confusion"] == [[0, 0, 1], [0, 1, 1], [1, 1, 1]]
    assert result["top1"] is result["per_class"] is None


def test_a_model_that_chooses_the_classes_itself_is_scored_by_them():
    result = scored([[[0, 2], [2, 2]]], np.array([[[0, 2], [2, 7]]]), class_numbers=True).result()
    assert result["class_iou"] == {"0": 1, "2": 2 / 3}
    assert result["confusion"] == [[0, 0, 1], [2, -1, 1], [2, 2, 2]]


@pytest.mark.parametrize(("scale", "threshold"), [(1, 0.5), (10, 0)])
def test_a_mask_of_one_value_a_pixel_has_two_classes(scale, threshold):
    low, high = (0.3, 0.7) if scale == 1 else (-3, 7)
    result = scored(PLANE[None, ..., None], np.where(PLANE == 1, high, low)[None, ..., None]).result()
    assert (result["task"], result["mean_iou"], result["threshold"]) == ("segmentation", 1, threshold)


def test_pixels_without_a_number_are_wrong():
    scores = SCORES.copy()
    scores[0, 0, 0] = np.nan
    assert scored([PLANE], [scores]).result()["mean_iou"] == 0


def test_whole_numbers_a_pixel_beyond_two_classes_are_values():
    assert scored([PLANE + 5], np.zeros((1, 2, 2))).result()["task"] == "regression"


@pytest.mark.parametrize(
    ("task", "labels", "outputs", "message"),
    [
        ("binary", [0], EYE[:1], r"task binary needs an output of one value a sample, got \(3,\); leave --task out"),
        ("binary", [2], [[0.5]], r"labels must be 0 or 1 a sample, got 2..2"),
        ("binary", [0.5], [[0.5]], r"labels must be 0 or 1 a sample, got float64 of shape \(1,\)"),
        ("autoencoder", [0], EYE[:1], r"needs an output of the only input's shape None, got \(3,\); leave --task out"),
        ("segmentation", [0], EYE[:1], r"labels must be class numbers of shape \(3,\) a sample, got int64 of shape"),
        (
            "segmentation",
            [PLANE + 2],
            [SCORES],
            r"class numbers in 0..1, and 255 for pixels that do not count, got 2..257",
        ),
        ("tokens", [0], EYE[:1], r"labels must be those of another task a sample, got int64 of shape \(\)"),
        ("tokens", [[0, 1]], EYE[None], r"labels must be class numbers of shape \(3,\) a sample, got int64 of shape"),
        ("tokens", [[0, 3, -1]], EYE[None], r"class numbers in 0..2, and -1 for padding, got 0..3"),
        ("embedding", [0.5], EYE[:1], r"labels must be a whole number a sample, and the output a vector, got float64"),
        ("regression", [1, 2], EYE[:2], r"labels must be one class number a sample or of the output's shape \(3,\)"),
        ("classification", [0.5], EYE[:1], r"labels must be one class number a sample or of the output's shape"),
    ],
)
def test_a_task_that_does_not_fit_is_refused(task, labels, outputs, message):
    with pytest.raises(ArrayError, match=message):
        scored(labels, outputs, task)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3, 1], r"labels must be class numbers in 0..2 \(the model has 3 outputs\), got 0..3"),
        ([-1, 0, 1], r"labels must be class numbers in 0..2 .*, got -1..1"),
        (np.zeros((3, 2)), r"labels must be one class number a sample or of the output's shape \(3,\), got \(2,\)"),
        ([0.5, 1, 2], r"labels must be one class number a sample or of the output's shape \(3,\), got \(\)"),
    ],
)
def test_labels_that_do_not_fit_the_output_are_refused(labels, message):
    with pytest.raises(ArrayError, match=message):
        scored(labels, EYE)


def test_rows_of_0_and_1_are_tags_unless_each_holds_a_single_1():
    outputs = np.array([[0.9, 0.2, 0.8], [0.1, 0.7, 0.3]])
    result = scored([[1, 0, 1], [0, 1, 0]], outputs).result()
    assert (result["task"], result["macro_f1"], result["class_f1"]) == ("multi-label", 1, {"0": 1, "1": 1, "2": 1})
    assert scored([[1, 0, 0], [0, 1, 0]], outputs).result()["task"] == "classification"
    assert scored([[1, 0, 0], [0, 1, 0]], outputs, "multi-label").result()["macro_f1"] == (1 + 1 + 0) / 3


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 2, 1]], r"labels must be 0 or 1 for each tag, got 0..2"),
        ([1], r"labels must be 0 or 1 for each tag or of the output's shape \(3,\), got \(\)"),
    ],
)
def test_what_is_no_row_of_tags_is_refused(labels, message):
    with pytest.raises(ArrayError, match=message):
        scored(labels, EYE[:1], "multi-label")


def test_the_data_may_say_a_threshold_and_what_does_not_count():
    told = accuracy.scorer(np.array([0, 1]), accuracy.Output((1,)), "binary", {"threshold": 0.3})
    told.take(0, np.array([[0.2], [0.4]]))
    assert (told.scorer.result()["top1"], told.scorer.result()["tuned_top1"]) == (1 / 2, 1)
    void = accuracy.scorer(
        np.array([[[0, 7], [1, 1]]]), accuracy.Output((2, 2, 2)), "segmentation", {"ignore_label": 7}
    )
    void.take(0, SCORES[None])
    assert void.scorer.result()["pixel_accuracy"] == 1
    with pytest.raises(ArrayError, match="option 'threshold' of the data's task must be a number, got 'half'"):
        accuracy.scorer(np.array([0, 1]), accuracy.Output((1,)), "binary", {"threshold": "half"})
