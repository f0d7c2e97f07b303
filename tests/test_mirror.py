"""Tests lie as what they test: ``tests/ROOM/test_MODULE.py`` is of ``tfcompress/ROOM/MODULE.py``, but for those named.

``edge_runner``, ``tools``, ``benchmarks`` and ``examples`` have rooms of their own names here. Tests of
``tfcompress/data`` are in ``tests/data_sources``: ``tests/data`` holds the files that tests read.
"""

from pathlib import Path, PurePosixPath

from tests.class_tables import named
from tools.structure import ROOT

BESIDE = ("benchmarks", "edge_runner", "examples", "tools")
"""Rooms whose modules are not in ``tfcompress``."""

OF_ANOTHER_NAME = {
    "cli/test_auto_command.py": "tfcompress/cli/auto.py",
    "cli/test_debug_command.py": "tfcompress/cli/debug.py",
    "cli/test_doctor_command.py": "tfcompress/cli/doctor.py",
    "cli/test_export_options.py": "tfcompress/cli/export.py",
    "cli/test_matrix_command.py": "tfcompress/cli/matrix.py",
    "cli/test_report_command.py": "tfcompress/cli/report.py",
    "edge_runner/test_runner_arrays.py": "edge_runner/arrays.py",
    "edge_runner/test_runner_feeding.py": "edge_runner/feeding.py",
    "edge_runner/test_runner_table.py": "edge_runner/table.py",
    "edge_runner/test_runner_wording.py": "edge_runner/wording.py",
    "reports/test_streaming_sentences.py": "tfcompress/reports/streaming.py",
    "tflite/test_where_it_runs.py": "tfcompress/tflite/runtimes.py",
}
"""Tests of one module that bear another name, since their basename is taken or says more."""

OVER_SEVERAL = named(
    """
    arm/test_bench_on_arm.py arm/test_pi_run.py arm/test_runner_on_arm.py
    channels/test_networks.py
    cli/test_commands.py cli/test_other_options.py
    data_sources/test_fit_forms.py data_sources/test_hostile_data.py
    devices/test_bench.py
    distillation/test_layers_compared.py
    docs/test_code_blocks.py docs/test_flags_in_text.py docs/test_troubleshooting.py
    edge_runner/test_lookup_refusal.py
    engines/test_native_scripts.py engines/test_native_training.py
    examples/test_detector.py
    firmware/test_beside_an_export.py firmware/test_beside_an_npu.py
    low_rank/test_low_rank_runs.py
    models/test_loading_zoo.py models/test_older_files.py models/test_published_costs.py
    reports/test_every_task.py reports/test_phone.py
    safety/test_hostile.py safety/test_pure_functions_models.py safety/test_savedmodel_hostile.py
    search/test_search_kills.py
    stages/test_drawn_recipes.py stages/test_parts.py stages/test_toy_stage.py
    targets/test_exports.py
    tasks/test_desk_and_device.py
    test_action.py test_additions.py test_bad_input.py test_integrations.py test_layer_tables.py test_light_imports.py
    test_matrix.py test_mirror.py test_names.py test_owners.py test_packaging.py test_private_names.py
    test_public_names.py test_representations.py
    tflite/test_flat_model.py tflite/test_qat_export.py
    tracking/test_followed_runs.py
    training/test_fit_by_task.py training/test_unlabelled.py
    """
)
"""Tests over several modules, the whole package, or what lies beside it."""


def every_test(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("test_*.py"))


def candidates(test: str) -> list[str]:
    """Return the modules that a test may be of, by its place."""
    place = PurePosixPath(test)
    name, room = place.stem.removeprefix("test_"), place.parent
    if room.parts[:1] == ("data_sources",):
        room = PurePosixPath("data", *room.parts[1:])
    home = room if room.parts[:1] and room.parts[0] in BESIDE else "tfcompress" / room
    return [f"{home}/{name}.py", f"{home}/{name}/__init__.py"]


def has_its_module(test: str) -> bool:
    return any((ROOT / module).is_file() for module in candidates(test))


def test_a_test_lies_where_its_module_does() -> None:
    excepted = OVER_SEVERAL | set(OF_ANOTHER_NAME)
    assert [test for test in every_test(ROOT / "tests") if test not in excepted and not has_its_module(test)] == []


def test_what_is_named_is_there_and_could_not_be_guessed() -> None:
    there = set(every_test(ROOT / "tests"))
    assert OVER_SEVERAL | set(OF_ANOTHER_NAME) <= there
    assert [test for test in sorted(OVER_SEVERAL | set(OF_ANOTHER_NAME)) if has_its_module(test)] == []
    assert [module for module in OF_ANOTHER_NAME.values() if not (ROOT / module).is_file()] == []


def test_a_test_of_data_may_lie_in_data_sources_alone() -> None:
    assert candidates("data_sources/test_npz.py")[0] == "tfcompress/data/npz.py"
    assert candidates("test_schema.py")[0] == "tfcompress/schema.py"
    assert candidates("edge_runner/test_heat.py")[0] == "edge_runner/heat.py"
    assert not has_its_module("data_sources/test_nothing.py")
