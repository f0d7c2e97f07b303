"""Before a search: what is bound to fail is refused, the float model measured, and the space laid out."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress.devices.remote import check_reachable
from tfcompress.drop_limit import check_provable, no_data, no_float
from tfcompress.errors import DataError, TfcompressError, UnsupportedError, UsageError
from tfcompress.models.fingerprints import code_sha256
from tfcompress.progress import NotesAlone, Progress
from tfcompress.resumption import ground_of, hash_of
from tfcompress.search.goals import Goal, Limits, goals_of, preference
from tfcompress.search.metering import Meter
from tfcompress.search.space import Refusal, Space, SpacePart, space_of
from tfcompress.search.wishes import USUAL_DROP, VALIDATION, Wishes
from tfcompress.stages.stage import InputSize, RewritingStage, Stage
from tfcompress.stages.stage_table import STAGES

if TYPE_CHECKING:
    from tfcompress.data.dataset import BoundData
    from tfcompress.devices.config import Device
    from tfcompress.models.loading import Loaded
    from tfcompress.train_settings import Train
    from tfcompress.workbench import Workbench

REMARKS = 5
"""Remarks of the doctor that are shown, the gravest first."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A search that can begin.

    Attributes:
        wishes: with nothing left open.
        space: what can be tried.
        goals: what is made smaller.
        decides: the goal that decides among files that keep the limits.
        device: where latency is measured; None: nowhere.
        key: a hash of all that its results depend on.
        model: name of the model.
        data: where the samples come from.
        judged: by what candidates are judged, in words.
        notes: what was chosen, and what the doctor says; shown already.
    """

    wishes: Wishes
    space: Space
    goals: tuple[Goal, ...]
    decides: Goal
    device: Device | None
    key: str
    model: str
    data: str
    judged: str
    notes: tuple[str, ...]

    def meter(self, progress: Progress) -> Meter | None:
        """Return what measures files on the device; None: there is none.

        Args:
            progress: where its notes go.
        """
        return None if self.device is None else _meter_on(self.device, self.wishes, progress)


def prepared_search(bench: Workbench, wishes: Wishes, output: Path | None) -> Prepared:
    """Look at everything once before a search.

    Args:
        bench: on the model as the user gave it, judging by the test split.
        wishes: what is asked for.
        output: where it will be written; searches of one key in different places are different ones.

    Raises:
        UsageError: a model that was trained for integers already; a limit that cannot be proven.
        DataError: no data, or splits without which nothing can be trained, judged or proven.
        ConversionError: the model has no float file.
        DeviceError: the device cannot be reached, or measures no energy.
        MissingDependencyError: the database's driver is not installed.
        OutputError: the database cannot be reached.
    """
    notes: list[str] = []
    _check_storage(bench, wishes)
    wishes, device = settled_wishes(wishes, notes)
    if device is not None:
        check_reachable(device, bench.progress)
    known = (*wishes.measured, *(("arena",) if wishes.export.deployment.micro else ()))
    goals = goals_of(wishes.limits, smaller=wishes.smaller, known=known)
    loaded = bench.loaded
    if loaded.qat:
        raise no_float()
    data = bench.data(wishes.train)
    if data is None:
        raise no_data()
    train, judged = _judges(data, wishes.train)
    wishes = dataclasses.replace(wishes, train=train)
    data = bench.data(train)
    if data is None:
        raise no_data()
    data.need_train()
    data.need_test()
    if wishes.limits.drop is not None:
        _check_drop(bench, data, wishes)
    if device is not None and "energy" in wishes.measured:
        _check_power(bench, wishes, device)
    gains = [goal.gain for goal in goals if goal.gain]
    refused: dict[str, str] = {}
    space = space_of(
        train=train,
        export=wishes.export,
        fixed=wishes.fixed,
        without=wishes.without,
        gains=gains,
        more=(*wishes.more, *_network_parts(bench, wishes, notes)),
        refusal=_refusal_by(loaded, refused),
        values=wishes.values,
    )
    _check_own_values(space, wishes, refused)
    there = {each.name for each in space.dimensions}
    notes += [f"{kind} is not tried: {reason}" for kind, reason in refused.items() if kind not in there]
    notes += _doctor(loaded)
    for note in notes:
        bench.progress.note(note)
    place = "" if output is None else str(output.resolve())
    named = [[each.name, list(map(str, each.values))] for each in space.dimensions]
    settings = [dataclasses.asdict(each) for each in (wishes.limits, train, wishes.export)]
    where = None if device is None else [device.name, *wishes.also]
    code = code_sha256(wishes.builder) if wishes.builder else ""
    key = hash_of([ground_of(loaded, data), named, settings, [goal.name for goal in goals], where, place, code])
    return Prepared(
        wishes=wishes,
        space=space,
        goals=goals,
        decides=preference(wishes.limits, goals),
        device=device,
        key=key,
        model=Path(loaded.source).name,
        data=data.dataset.source,
        judged=judged,
        notes=tuple(notes),
    )


def _check_own_values(space: Space, wishes: Wishes, refused: Mapping[str, str]) -> None:
    """Refuse values of the user's own that this model, or what is made small and limited, leaves out.

    Raises:
        UsageError: saying why.
    """
    there = {each.name: each.values for each in space.dimensions}
    for name, chosen in wishes.values.items():
        owner, _, field = name.partition(".")
        settings = None if owner in STAGES else getattr(wishes, owner)
        if settings is not None and tuple(chosen) == (getattr(settings, field),):
            continue  # the only one, and what holds anyway
        gone = [value for value in chosen if value not in there.get(name, ())]
        if gone:
            reason = refused.get(owner, "nothing that is limited or made small gains by it")
            msg = f"--values {name}={','.join(map(str, gone))} cannot be tried: {reason}"
            raise UsageError(msg)


def _check_storage(bench: Workbench, wishes: Wishes) -> None:
    """Refuse a database that cannot hold the study, where one is named."""
    if wishes.storage:
        from tfcompress.search.study_store import check_storage

        check_storage(wishes.storage, note=bench.progress.note)


def _network_parts(bench: Workbench, wishes: Wishes, notes: list[str]) -> tuple[SpacePart, ...]:
    """Return what can be chosen of the network itself, and note why sizes of its pictures cannot.

    Raises:
        UnsupportedError: the model has no graph that could be changed, or nothing in it can.
        UsageError: a builder that does not build.
    """
    from tfcompress.execution import in_keras3
    from tfcompress.search.architecture import network_parts

    if not wishes.architecture and not wishes.builder:
        return ()
    told: list[str] = []

    def comes_in(size: InputSize) -> bool:
        try:
            bench.data(wishes.train, size)
        except (DataError, UnsupportedError) as error:
            told.append(f"smaller pictures are not tried: {error}")
            return False
        return True

    loaded = bench.loaded
    parts = network_parts(in_keras3(loaded), wishes.builder, changes=wishes.architecture, comes_in=comes_in)
    notes += told[:1]
    if not parts:
        msg = (
            f"model {loaded.source!r} has no widths, blocks, kernels or size of pictures that could be others; leave "
            "--architecture out"
        )
        raise UnsupportedError(msg)
    return parts


def _refusal_by(loaded: Loaded, refused: dict[str, str]) -> Refusal:
    """Return what says why a stage cannot be done to the model, and keeps the reason by the stage's kind."""
    from tfcompress.stages.rewriting import check_rewritable

    try:
        model = loaded.keras3
    except UnsupportedError:  # each candidate with a stage is refused with the reason
        model = None

    def refusal(stage: Stage) -> str:
        if model is None or not isinstance(stage, RewritingStage):
            return ""
        try:
            check_rewritable(model, stage)
        except (UnsupportedError, UsageError) as error:
            refused[stage.kind] = str(error).partition("; ")[0].partition(" (")[0]
            return refused[stage.kind]
        return ""

    return refusal


def settled_wishes(wishes: Wishes, notes: list[str]) -> tuple[Wishes, Device | None]:
    """Return wishes with limits and a device, and the device.

    What a microcontroller has, and what was said of that (``max_arena``, ``max_flash``), are limits like any other.

    Args:
        wishes: what is asked for.
        notes: get what was chosen, a sentence each.
    """
    from tfcompress.devices.config import LOCAL, find_timing_device

    name, export = wishes.device, wishes.export
    if not wishes.limits.given and not export.max_arena and not export.max_flash:
        wishes = dataclasses.replace(wishes, limits=Limits(drop=USUAL_DROP))
        notes.append(f"no limit was given: --max-drop {USUAL_DROP:g} is kept")
    chip = export.deployment
    limits = dataclasses.replace(
        wishes.limits, flash=chip.most_flash_bytes(export.max_flash), arena=chip.most_arena_bytes(export.max_arena)
    )
    wishes = dataclasses.replace(wishes, limits=limits)
    if name is None and wishes.measured:
        name = LOCAL
        what = "latency and energy are" if "energy" in wishes.measured else "latency is"
        notes.append(f"no --device: {what} measured on this machine")
    if name == LOCAL and wishes.jobs > 1:
        notes.append(f"latency is measured here while {wishes.jobs} workers run: it comes out too high")
    return dataclasses.replace(wishes, device=name), None if name is None else find_timing_device(name)


def _judges(data: BoundData, train: Train) -> tuple[Train, str]:
    """Return how candidates are trained so that there is a validation split, and what judges them, in words."""
    if data.val is not None:
        return train, "the validation split"
    if data.train is None:
        msg = f"data {data.dataset.source!r} must have a training split: candidates are trained and judged"
        raise DataError(msg)
    part = train.validation or VALIDATION
    judged = f"{100 * part:g} % of the training split, kept apart by seed {train.seed}"
    return dataclasses.replace(train, validation=part), judged


def _check_drop(bench: Workbench, data: BoundData, wishes: Wishes) -> None:
    """Refuse a limit that no file could be proven to keep."""
    baseline, limit = bench.float_baseline(wishes.train), wishes.limits.drop or USUAL_DROP
    if baseline is None or baseline.score is None:
        raise no_float()
    try:
        check_provable(data, baseline.score, limit)
    except (UsageError, DataError) as error:
        told = str(error).replace("export.max_drop", "--max-drop")
        raise type(error)(told) from error


def _check_power(bench: Workbench, wishes: Wishes, device: Device) -> None:
    """Refuse a device that measures no energy, before anything is trained: the float file is measured there.

    Raises:
        DeviceError: with what to do.
        ContractError: it cannot run the float file.
    """
    baseline = bench.float_baseline(wishes.train)
    if baseline is None:
        raise no_float()
    with tempfile.TemporaryDirectory(prefix="tfcompress-") as folder, bench.progress.task("asking for the energy"):
        file = Path(folder) / "float.tflite"
        file.write_bytes(baseline.content)
        _meter_on(device, wishes, bench.progress).figures(file)


def _meter_on(device: Device, wishes: Wishes, progress: Progress) -> Meter:
    energy = "energy" in wishes.measured
    return Meter(device, energy=energy, more=wishes.also, progress=NotesAlone(progress), reached=True)


def _doctor(loaded: Any) -> list[str]:
    """Return the gravest of what a look at the model finds."""
    from tfcompress.diagnosis.checkup import check_model
    from tfcompress.models.precision import in_float32
    from tfcompress.reports.remark import by_gravity

    if loaded.keras3 is None:
        return []
    try:
        found = check_model(in_float32(loaded.keras3)[0], refused={}, engine="native")
    except (TfcompressError, AttributeError):  # a model without a graph to look at: the doctor says so himself
        return []
    grave = [remark for remark in by_gravity(found.remarks) if remark.gravity != "note"]
    rest = [f"doctor: {len(grave) - REMARKS} more (tfcompress doctor)"] if len(grave) > REMARKS else []
    return [*(f"doctor: {remark}" for remark in grave[:REMARKS]), *rest]


def told_space(space: Space) -> list[tuple[str, str]]:
    """Return what is tried, a line a dimension: its name, and its values."""
    return [(each.name, ", ".join(_value_text(value) for value in each.values)) for each in space.dimensions]


def _value_text(value: object) -> str:
    if value is None:
        return "by the stages"
    if isinstance(value, tuple):
        return "+".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
