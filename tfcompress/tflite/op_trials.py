"""Files of one op, run here: whether a runtime computes a precision rightly, and how long it takes.

What runtimes have kernels for is not what their op versions say: 4-bit depthwise kernels beside int16 activations run
and give something else, others die when they are invoked. So each op is run by itself in each precision before a plan
may use it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, TypeVar, get_args

import numpy as np

from tfcompress.errors import TfcompressError
from tfcompress.tflite.flatbuffer import FlatModel, read_model_file
from tfcompress.tflite.interpret import InterpreterProcess, RuntimeName
from tfcompress.tflite.mixing import ACTIVATIONS, CASTS, Mixer, Precision
from tfcompress.tflite.runtimes import TryModel, check_runtimes, parse_requirement, where_it_runs
from tfcompress.tflite.sites import Site

MOST_STEPS = 2.0
"""Steps of its output that a 4-bit kernel may be away from the same numbers stored in 8 bits."""
LEAST_DB = 20.0
"""What int16 activations agree with float by, at least: what computes something else has 0 dB or less."""
_SAMPLES = 4
_ROUNDS, _SECONDS, _RUNS = 3, 0.02, (5, 200)
Returned = TypeVar("Returned")


class Stopwatch(Protocol):
    """Times files on another machine."""

    @property
    def name(self) -> str:
        """What messages call the machine."""

    def seconds(self, contents: Sequence[bytes], *, in_turns: bool) -> Sequence[float | str]:
        """Return the median time of an inference of each file, one thread, or why it does not run there.

        Args:
            contents: files, with whose inputs nothing is wrong.
            in_turns: they are to be compared, so that each gets its share of whatever else the machine does.
        """


class OpTrials:
    """Runs small files in one process, and in a new one where a file ends it; a context manager."""

    def __init__(
        self,
        mixer: Mixer,
        runtimes: Sequence[str],
        in_tensorflow: TryModel,
        seed: int,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        """Begin.

        Args:
            mixer: makes the files.
            runtimes: requirements such as ``litert>=2.1`` that the finished file must keep.
            in_tensorflow: tries a file in TensorFlow's interpreter.
            seed: draws what the ops are run on.
            stopwatch: times files elsewhere; None: they are timed here.
        """
        self._mixer, self._runtimes, self._seed = mixer, tuple(runtimes), seed
        self._stopwatch, self._elsewhere = stopwatch, dict[bytes, float | str]()
        wanted = {parse_requirement(text).runtime for text in runtimes}
        tried: dict[RuntimeName, TryModel] = {"tensorflow": in_tensorflow} if "tensorflow" in wanted else {}
        self._trials = {name: _not_asked for name in get_args(RuntimeName) if name not in wanted} | tried
        self._process: InterpreterProcess | None = None
        self._refused: dict[tuple[str, Precision, bool], str] = {}
        self._casts: dict[tuple[tuple[int, ...], str, str], float] = {}

    def refusal(self, site: Site, precision: Precision) -> str:
        """Return why an op is not to be had in a precision; empty: it is."""
        if not self._mixer.has(site, precision):
            return f"{site.op} has no kernel for it"
        key = (site.op, precision, site.per_channel)
        if key not in self._refused:
            self._refused[key] = self._by_runtimes(self._mixer.alone(site, precision))
        return self._refused[key] or self._by_trial(site, precision)

    def _by_runtimes(self, content: bytes) -> str:
        if not self._runtimes:
            return ""
        try:
            check_runtimes(where_it_runs(content, trials=self._trials), self._runtimes)
        except TfcompressError as refusal:
            return str(refusal).partition(", but ")[2] or str(refusal)
        return ""

    def _by_trial(self, site: Site, precision: Precision) -> str:
        try:
            found = self._outputs(self._mixer.alone(site, precision), site)
            if precision == "int4":
                return self._away(found, self._outputs(self._mixer.alone(site, "int4", wide=True), site), site)
            if precision == "int16":
                expected = self._outputs(self._mixer.alone(site, "float"), site)
                most = max(map(abs, self._mixer.range_of(site.made)))  # numbers of 16 bits end alike on both sides
                return _unlike(found, np.clip(expected, -most, most))
        except TfcompressError as refusal:
            return str(refusal)
        return "" if np.isfinite(found).all() else "it gives NaN or infinity"

    def _away(self, found: np.ndarray, expected: np.ndarray, site: Site) -> str:
        steps = float(np.abs(found - expected).max()) / self._mixer.grid_of(site.made)[0]
        return "" if steps <= MOST_STEPS + 0.01 else f"it runs and computes something else, {steps:.0f} steps away"

    def _outputs(self, content: bytes, site: Site) -> np.ndarray:
        """Run a file of one op on real values that fill the range of its input evenly."""
        low, high = self._mixer.range_of(site.given)
        flat = read_model_file(content)
        drawn = np.random.default_rng(self._seed).uniform(low, high, (_SAMPLES, *self._mixer.shape_of(site.given)[1:]))
        return self._in_process(content, lambda process: _only(process.run({flat.inputs[0].name: drawn.astype("f4")})))

    def time_ahead(self, sites: Sequence[Site], precisions: Sequence[Precision]) -> None:
        """Have all that plans are estimated from timed at once, where each call to another machine takes its time.

        Args:
            sites: ops.
            precisions: that they are to be had in; those that are refused here are left out.
        """
        if self._stopwatch is None:
            return
        ops = {(site.number, each): site for site in sites for each in precisions if not self.refusal(site, each)}
        files = [self._mixer.alone(site, precision) for (_, precision), site in ops.items()]
        used = {ACTIVATIONS[precision] for _, precision in ops}
        pairs = [pair for pair in CASTS if used.issuperset(pair)]
        shapes = {self._mixer.shape_of(tensor): tensor for site in sites for tensor in (site.given, site.made)}
        casts = {
            (shape, *pair): self._mixer.cast_alone(tensor, *pair) for shape, tensor in shapes.items() for pair in pairs
        }
        self._measure_elsewhere([*files, *casts.values()], in_turns=False)
        self._casts |= {key: self.seconds([file])[0] for key, file in casts.items()}

    def _measure_elsewhere(self, contents: Sequence[bytes], *, in_turns: bool) -> None:
        """Have those files timed on the other machine that were not yet; all, where they are to be compared."""
        asked = list(dict.fromkeys(each for each in contents if in_turns or each not in self._elsewhere))
        if asked and self._stopwatch is not None:
            found = self._stopwatch.seconds(asked, in_turns=in_turns)
            self._elsewhere.update(zip(asked, found, strict=True))

    def refusal_elsewhere(self, content: bytes) -> str:
        """Return why a file that was timed does not run on the machine that times; empty: it does, or is here."""
        found = self._elsewhere.get(content, 0.0)
        return f"{self._stopwatch.name}: {found}" if isinstance(found, str) and self._stopwatch else ""

    def op_refusal_elsewhere(self, site: Site, precision: Precision) -> str:
        """Return the same for an op in a precision."""
        return "" if self._stopwatch is None else self.refusal_elsewhere(self._mixer.alone(site, precision))

    def op_seconds(self, site: Site, precision: Precision) -> float:
        """Return how long an op takes in a precision, without what changes numbers before and behind it."""
        return self.seconds([self._mixer.alone(site, precision)])[0]

    def cast_seconds(self, tensor: int, before: Precision, behind: Precision) -> float:
        """Return how long it takes to change the numbers of a tensor from one precision's to another's."""
        dtypes = ACTIVATIONS[before], ACTIVATIONS[behind]
        if dtypes not in CASTS:
            return 0.0
        key = (self._mixer.shape_of(tensor), *dtypes)
        if key not in self._casts:
            self._casts[key] = self.seconds([self._mixer.cast_alone(tensor, *dtypes)])[0]
        return self._casts[key]

    def seconds(self, contents: Sequence[bytes]) -> tuple[float, ...]:
        """Return how long files take, one thread, the least median of several rounds in turns.

        Files that another machine cannot run take forever there; see :meth:`refusal_elsewhere`.

        Raises:
            TfcompressError: a file does not run here.
            DeviceError: another machine cannot be reached.
        """
        if self._stopwatch is not None:
            self._measure_elsewhere(contents, in_turns=len(contents) > 1)
            found = [self._elsewhere[content] for content in contents]
            return tuple(np.inf if isinstance(each, str) else each for each in found)
        rounds = [[self._in_process(content, _median) for content in contents] for _ in range(_ROUNDS)]
        return tuple(map(min, zip(*rounds, strict=True)))

    def _in_process(self, content: bytes, do: Callable[[InterpreterProcess], Returned]) -> Returned:
        try:
            if self._process is None:
                self._process = InterpreterProcess(content, workers=1)
            else:
                self._process.reopen(content)
            return do(self._process)
        except TfcompressError:
            self.close()
            raise

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def __enter__(self) -> OpTrials:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _not_asked(_: bytes) -> str:
    """Stand for a trial in a runtime that the file need not run on."""
    return ""


def _only(outputs: dict[str, np.ndarray]) -> np.ndarray:
    return next(iter(outputs.values()))


def _unlike(found: np.ndarray, expected: np.ndarray) -> str:
    error = float(np.square(found - expected).mean())
    ratio = float(np.square(expected).mean()) / error if error else np.inf
    db = 10 * float(np.log10(ratio)) if ratio > 0 else -np.inf
    return "" if db >= LEAST_DB else f"it runs and computes something else ({db:.0f} dB)"


def _median(process: InterpreterProcess) -> float:
    """Time a file on random values: as often as fits into a short while."""
    inputs = _anything(process.model)
    first = min(process.timed(inputs, 3))
    least, most = _RUNS
    return float(np.median(process.timed(inputs, int(np.clip(_SECONDS / max(first, 1e-7), least, most)))))


def _anything(flat: FlatModel) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {tensor.name: generator.uniform(0, 1, tensor.example_shape).astype("f4") for tensor in flat.inputs}
