"""The reference pages: nothing that can be asked for, or that a report holds, is missing from them."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Literal

import click
import pytest

import tfcompress
from tfcompress.cli.main import run_command
from tfcompress.cli.overview import COMMANDS
from tfcompress.recipe import STAGES, Export, Train
from tfcompress.reports.report import Report
from tfcompress.schema import fields_of
from tfcompress.stages.flags import flags_of
from tools import docs_reference


@dataclass
class Described:
    """A thing.

    Attributes:
        name: what it is called, over
            two lines.
        size: how large.

    Raises:
        ValueError: never.
    """

    name: str
    size: int


def test_attributes_are_read_from_a_docstring() -> None:
    assert docs_reference.attributes_of(Described) == {
        "name": "what it is called, over two lines.",
        "size": "how large.",
    }


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (int | None, "whole number, or null"),
        (Literal["a", "b"], "`a`, `b`"),
        (tuple[str, ...], "list of text"),
        (tuple[int | None, ...], "list of (whole number, or null)"),
        (tuple[int, int], "list of whole numbers"),
        (tuple[float, int], "list: number, whole number"),
        (dict[str, float], "table of numbers by name"),
        (Described, "[Described](#described)"),
    ],
)
def test_types_are_said_in_words(hint: object, words: str) -> None:
    assert docs_reference.type_words(hint) == words


@pytest.mark.parametrize("owner", [*STAGES.values(), Train, Export], ids=lambda owner: owner.__name__)
def test_the_recipe_s_reference_has_every_key_with_its_flag_and_meaning(owner: type) -> None:
    parts = docs_reference.recipe_text().split("\n## ")
    (part,) = [each for each in parts if f"`tfc.{owner.__name__}`" in each]
    rows = {cells[1].strip(" `"): cells for line in part.splitlines() if (cells := re.split(r"(?<!\\)\|", line))[1:]}
    for each in fields_of(owner):
        _, _, flag, kind, default, meaning, _ = rows[each.name]
        assert kind.strip()
        assert default.strip()
        assert meaning.strip(), f"{owner.__name__}.{each.name} is not described"
        assert not flag.strip() or flag.strip(" `") in {found.name for found in flags_of(owner)}


def test_the_report_s_reference_has_every_key_with_its_meaning() -> None:
    text = docs_reference.report_text()
    for kind in docs_reference.reachable(Report):
        part = text.split(f"\n## {kind.__name__}\n")[1].split("\n## ")[0]
        for each in dataclasses.fields(kind):  # type: ignore[arg-type]  # all of these are dataclasses
            row = next(line for line in part.splitlines() if line.startswith(f"| `{each.name}` |"))
            assert re.split(r"(?<!\\)\|", row)[3].strip(), f"{kind.__name__}.{each.name} is not described"


def test_links_of_the_report_s_reference_lead_to_its_headings() -> None:
    text = docs_reference.report_text()
    assert {*re.findall(r"\]\(#(\w+)\)", text)} <= {
        each.lower() for each in re.findall(r"^## (\w+)$", text, re.MULTILINE)
    }


def test_the_commands_page_has_every_command_and_option() -> None:
    page = docs_reference.commands_page()
    for name, _, command in docs_reference.commands():
        part = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
        missing = [each.opts[-1] for each in options if not re.search(rf"`[^`]*{each.opts[-1]}\b", part)]
        assert missing == [], name
    assert page.count("\n## ") == len(COMMANDS)


def test_the_commands_take_what_they_took_after_the_page_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    docs_reference.commands_page()
    assert run_command(["export", "-h"]) == 0
    assert "--quantize" in capsys.readouterr().out


def test_the_names_page_has_every_public_name_but_the_version() -> None:
    named = re.findall(r"^\.\. auto\w+:: tfcompress\.(\w+)$", docs_reference.names_page(), re.MULTILINE)
    assert sorted(named) == sorted(name for name in tfcompress.__all__ if name != "__version__")


def test_examples_end_where_two_spaces_begin_what_is_said_of_them() -> None:
    text = "Do it.\n\n\b\n  tfcompress export a.h5 --x 1   and so on\n  tfcompress recipes > b.toml\n\nMore: x"
    words = [["tfcompress", "export", "a.h5", "--x", "1"], ["tfcompress", "recipes", ">", "b.toml"]]
    assert docs_reference.examples_of(text) == words
