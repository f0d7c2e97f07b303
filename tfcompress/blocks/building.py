"""Networks that a user's own function builds, asked in the manner of KerasTuner."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

from tfcompress.errors import UsageError, nearest
from tfcompress.models.signature import signature_of
from tfcompress.references import imported
from tfcompress.stages.build import BUILT, Build
from tfcompress.stages.rewriting import RewritingContext, Rewritten
from tfcompress.stages.stage import NetworkChoice

MOST_VALUES = 8
"""Values of a number that a search tries, spread evenly over its range."""


class Answers:
    """What a builder asks: ``hp``, with the methods of KerasTuner's that ask for a value.

    Attributes:
        asked: name -> the values that may be answered as text, the default first; what was asked so far.
    """

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        """Answer what is given, and defaults where nothing is.

        Args:
            given: name -> value, as text.
        """
        self._given = dict(given or {})
        self._answered: dict[str, Any] = {}
        self.asked: dict[str, tuple[str, ...]] = {}

    def Int(  # noqa: N802 - KerasTuner's name
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = None,
        default: int | None = None,
        **_: Any,
    ) -> int:
        """Answer a whole number in [min_value, max_value]."""
        tried = [round(each) for each in _spread(min_value, max_value, step or (None if sampling else 1), sampling)]
        return int(self._answer(name, tried, min_value if default is None else default, int, (min_value, max_value)))

    def Float(  # noqa: N802 - KerasTuner's name
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = None,
        default: float | None = None,
        **_: Any,
    ) -> float:
        """Answer a number in [min_value, max_value]."""
        tried = [float(f"{each:.6g}") for each in _spread(min_value, max_value, step, sampling)]
        chosen = min_value if default is None else default
        return float(self._answer(name, tried, float(chosen), float, (min_value, max_value)))

    def Choice(  # noqa: N802 - KerasTuner's name
        self, name: str, values: Sequence[Any], ordered: bool | None = None, default: Any = None, **_: Any
    ) -> Any:
        """Answer one of some values."""
        texts = {str(value): value for value in values}
        return self._answer(name, list(values), values[0] if default is None else default, lambda text: texts[text])

    def Boolean(self, name: str, default: bool = False, **_: Any) -> bool:  # noqa: N802 - KerasTuner's name
        """Answer yes or no."""
        texts = {"true": True, "false": False}
        return bool(self._answer(name, [False, True], default, lambda text: texts[text.lower()]))

    def Fixed(self, name: str, value: Any, **_: Any) -> Any:  # noqa: N802 - KerasTuner's name
        """Answer the value."""
        self._answered[name] = value
        return value

    def get(self, name: str) -> Any:
        """Answer what was answered before."""
        return self._answered[name]

    @contextlib.contextmanager
    def conditional_scope(self, *_: Any) -> Iterator[None]:
        """Ask inside what only some answers make a question."""
        yield

    def _answer(
        self,
        name: str,
        tried: Sequence[Any],
        default: Any,
        read: Callable[[str], Any],
        bounds: tuple[float, float] = (-math.inf, math.inf),
    ) -> Any:
        if name in self._answered:
            return self._answered[name]
        self.asked[name] = tuple(dict.fromkeys(_text(each) for each in (default, *tried)))
        value = default
        if name in self._given:
            try:
                value = read(self._given[name])
            except (KeyError, ValueError):
                value = None
            outside = isinstance(value, int | float) and not bounds[0] <= value <= bounds[1]
            if value is None or outside:
                msg = f"build.values: {name} must be one of {', '.join(self.asked[name])}, got {self._given[name]!r}"
                raise UsageError(msg)
        self._answered[name] = value
        return value

    def check_asked(self) -> None:
        """Refuse answers that nobody asked for.

        Raises:
            UsageError: with the nearest name.
        """
        for name in self._given:
            if name not in self.asked:
                known = ", ".join(self.asked) or "nothing"
                msg = f"build.values: the builder asks for {known}, not for {name!r}{nearest(name, self.asked)}"
                raise UsageError(msg)


def _spread(low: float, high: float, step: float | None, sampling: str | None) -> list[float]:
    """Return at most :data:`MOST_VALUES` numbers from a range, evenly, on its steps where it has some."""
    if step is not None:
        count = math.floor((high - low) / step + 1e-9) + 1
        places = [low + step * number for number in range(count)] if sampling is None else []
        if places:
            chosen = (round(n * (count - 1) / (MOST_VALUES - 1)) for n in range(MOST_VALUES))
            return places if count <= MOST_VALUES else [places[number] for number in dict.fromkeys(chosen)]
    shares = [number / 4 for number in range(5)]
    if sampling in ("log", "reverse_log") and low > 0:
        return [math.exp(math.log(low) + share * (math.log(high) - math.log(low))) for share in shares]
    return [low + share * (high - low) for share in shares]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def built(builder: str, answers: Answers) -> Any:
    """Return the network that a builder gives.

    Args:
        builder: ``module:function``.
        answers: what it is answered.

    Raises:
        UsageError: no such function, one that fails, or one that gives no Keras 3 model that is built.
    """
    function = imported(builder, "build.builder", what="function")
    try:
        model = function(answers)
    except UsageError:
        raise
    except Exception as error:  # the user's function may fail in any way
        msg = f"build.builder {builder!r} fails: {type(error).__name__}: {error}"
        raise UsageError(msg) from error
    if not isinstance(model, keras.Model) or not model.built:
        msg = f"build.builder {builder!r} must give a Keras 3 model that is built, got {type(model).__name__}"
        raise UsageError(msg)
    answers.check_asked()
    return model


def rewrite(model: Any, stage: Build, context: RewritingContext) -> Rewritten:
    """Build another network in the place of a model.

    Raises:
        UsageError: what :func:`built` refuses, or a network with other inputs or outputs.
    """
    if not stage.builder:  # of a later cycle: it was built before the first
        return Rewritten(model)
    keras.utils.set_random_seed(context.seed)
    new = built(stage.builder, Answers(stage.answers))
    before, after = signature_of(model), signature_of(new)
    for what, wanted, got in (("inputs", before.inputs, after.inputs), ("outputs", before.outputs, after.outputs)):
        if [(spec.name, spec.shape) for spec in wanted] != [(spec.name, spec.shape) for spec in got]:
            texts = [", ".join(f"{spec.name} {spec.shape}" for spec in specs) for specs in (wanted, got)]
            msg = f"build.builder {stage.builder!r} must give a network with the {what} {texts[0]}, got {texts[1]}"
            raise UsageError(msg)
    sizes = [model.count_params(), new.count_params()]
    note = f"build: {stage.builder} ({', '.join(stage.values) or 'defaults'}): {sizes[0]:,} → {sizes[1]:,} parameters"
    return Rewritten(new, (f"{note}, with fresh weights",))


def choices_of(builder: str) -> tuple[NetworkChoice, ...]:
    """Return what a search may answer a builder: what it asks when it hears defaults.

    Raises:
        UsageError: what :func:`built` refuses.
    """
    answers = Answers()
    built(builder, answers)
    found = (NetworkChoice(name, values) for name, values in answers.asked.items() if len(values) > 1)
    return (NetworkChoice(BUILT, (False, True)), *found)
