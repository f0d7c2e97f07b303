"""tfcompress.tflite.routes: when the second route is taken."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tfcompress.errors import ContractError, ConversionError, InfeasibleError, UnsupportedError
from tfcompress.progress import SILENT
from tfcompress.recipe import Export
from tfcompress.tflite.routes import made_as_asked

ROUTES = sys.modules["tfcompress.tflite.routes"]


@pytest.mark.parametrize(
    ("refusal", "fusible", "rewritten"),
    [
        (ConversionError("the converter died"), False, True),
        (ContractError("it agrees by 3 dB"), False, False),
        (ContractError("it agrees by 3 dB"), True, True),  # of LSTMs written out the converter may make a better file
        (InfeasibleError("no plan keeps the limit", {}), True, False),
    ],
)
def test_the_model_is_rewritten_where_that_may_give_a_better_file(
    monkeypatch: pytest.MonkeyPatch, refusal: Exception, fusible: bool, rewritten: bool
) -> None:
    seen = []

    def attempt(*_: Any, **__: Any) -> None:
        raise refusal

    monkeypatch.setattr(ROUTES, "attempt", attempt)
    monkeypatch.setattr(ROUTES, "fusible", lambda *_: fusible)
    monkeypatch.setattr(ROUTES, "in_place_of_the_converter", lambda *_: seen.append("rewritten"))
    request: Any = SimpleNamespace(settings=Export(quantize="int8", calibration="minmax"))
    with pytest.raises(type(refusal)) as raised:
        made_as_asked("the model", request)
    assert raised.value is refusal
    assert seen == ["rewritten"] * rewritten


@pytest.mark.parametrize("where", ["in_place_of_the_converter", "attempt"])
def test_advice_that_was_tried_in_vain_is_not_given(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    refusals = iter([ConversionError("it cannot quantize loops; train with --qat"), UnsupportedError("it masks by -1")])

    def refused(*_: Any, **__: Any) -> None:
        raise next(refusals)

    monkeypatch.setattr(ROUTES, "attempt", refused)
    rewritten = SimpleNamespace(model="rewritten", notes=[])
    monkeypatch.setattr(ROUTES, "in_place_of_the_converter", refused if where != "attempt" else lambda *_: rewritten)
    monkeypatch.setattr(ROUTES, "fusible", lambda *_: False)
    request: Any = SimpleNamespace(settings=Export(quantize="int8", calibration="minmax"), progress=SILENT)
    expected = "^it cannot quantize loops; the rules of --qat cannot do it, either: it masks by -1$"
    with pytest.raises(ConversionError, match=expected):
        made_as_asked("the model", request)
