"""Weights, confusion and changed answers on a page."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET

import pytest

from tests.reports.test_html import a_report
from tests.reports.test_pictures import some_pictures
from tfcompress.reports.picture_sections import activations_part, answers_part, confusion_part, weights_part
from tfcompress.reports.pictures import Confusions


def test_a_matrix_has_a_cell_for_each_pair_that_occurs():
    shown = confusion_part(a_report(), some_pictures())
    titles = re.findall(r'<g class="mark"><title>([^<]*)</title>', shown)
    assert titles == [
        "a: 5 right (float)", "a taken for b: 1 (float)", "b: 6 right (float)",
        "a: 4 right (result)", "a taken for b: 2 (result)", "b: 6 right (result)",
    ]  # fmt: skip
    assert "+1" in shown


@pytest.mark.parametrize("size", [2, 10, 40])
def test_matrices_of_any_size_are_drawn(size):
    row = tuple(range(size))
    same = Confusions(before=(row,) * size, after=(row,) * size)
    shown = confusion_part(a_report(), dataclasses.replace(some_pictures(), confusions=same))
    for chart in re.findall(r"<svg.*?</svg>", shown, re.DOTALL):
        ET.fromstring(chart)
    assert "change</th>" not in shown


def test_without_matrices_the_pairs_of_the_report_are_shown():
    report = a_report()
    score = dataclasses.replace(report.result.score, confusion=((3, 5, 17), (0, 6, 4)))
    report = dataclasses.replace(report, result=dataclasses.replace(report.result, score=score))
    shown = confusion_part(report, None)
    assert ">17<" in shown
    assert "all that the report keeps" in shown
    assert confusion_part(a_report(), None) == ""


def test_weights_are_drawn_with_what_is_zero():
    shown = weights_part(some_pictures())
    assert "&lt;conv&gt;" in shown
    assert "zeros 0 % → 50 %, 7 values" in shown
    assert "0.333 and up: 1 before, 0 after" in shown
    assert weights_part(dataclasses.replace(some_pictures(), weights=())) == ""


def test_the_largest_kernels_are_drawn_and_the_rest_counted():
    one = some_pictures().weights[0]
    many = tuple(dataclasses.replace(one, name=f"k{n}", before=(n, 0, 0)) for n in range(20))
    shown = weights_part(dataclasses.replace(some_pictures(), weights=many))
    assert "8 smaller kernels are not drawn" in shown
    assert "<b>k8</b>" in shown
    assert "<b>k7</b>" not in shown


def test_activations_are_drawn_with_the_ends_of_the_files_numbers():
    shown = activations_part(some_pictures())
    assert "<b>relu</b> zeros 0 % → 50 %, 7 values, 12.5 % beyond the file&#x27;s numbers" in shown
    assert shown.count('<line class="limit"') == 1  # of -0.5 and 2, one lies between -1 and 1
    assert "on 16 samples of &#x27;train&#x27;. Grey: the model as it came" in shown
    assert activations_part(dataclasses.replace(some_pictures(), activations=())) == ""


def test_the_layers_whose_values_moved_most_are_drawn_in_the_models_order():
    one = some_pictures().activations[0]
    many = tuple(dataclasses.replace(one, name=f"r{n}", before=(n, 0, 12 - n), after=(0, 0, 12)) for n in range(12))
    shown = activations_part(dataclasses.replace(some_pictures(), activations=many))
    assert re.findall(r"<b>(r\d+)</b>", shown) == [f"r{n}" for n in range(3, 12)]
    assert "The 9 of 12 layers whose values moved most." in shown


def test_bins_without_values_have_nothing_to_point_at():
    one = dataclasses.replace(some_pictures().weights[0], before=(1, 0, 0), after=(1, 0, 2))
    assert weights_part(dataclasses.replace(some_pictures(), weights=(one,))).count('class="mark bin"') == 2


def test_changed_answers_are_cards():
    shown = answers_part(some_pictures())
    assert "1 of 12 test samples (8.33 %) are answered otherwise than by the float file." in shown
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in shown
    assert shown.count('<polyline class="signal') == 2
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "right before, wrong now" in shown
    assert "Something is missing." in shown


def test_of_numbers_it_is_said_what_moved_means():
    shown = answers_part(dataclasses.replace(some_pictures(), changed=None, measure="the RMS"))
    assert "Of 12 test samples, those whose answers moved most, by the RMS." in shown


def test_a_run_without_pictures_says_so():
    assert "This run keeps no pictures" in answers_part(None)
