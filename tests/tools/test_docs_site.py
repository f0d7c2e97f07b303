"""What Sphinx is given: each page has a place, notebooks are pages, links lead to pages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tools import docs_site

INDEX = "```{toctree}\nstages\nDecisions <adr/README>\n```\n```{toctree}\nPAGES-WITHOUT-A-PLACE\n```\n"


def test_a_page_that_no_list_names_comes_into_the_last_one() -> None:
    names = ["adr/0001-x", "adr/README", "index", "league", "stages", "tutorials/new"]
    assert docs_site.completed(INDEX, names).endswith("```{toctree}\nleague\ntutorials/new\n```\n")


def test_the_index_names_only_pages_that_there_are() -> None:
    text = (docs_site.DOCS / "index.md").read_text("utf-8")
    lists = "\n".join(re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL))
    listed = [line for line in lists.splitlines() if line and not line.startswith(":")]
    names = {re.sub(r".*<(.*)>", r"\1", line) for line in listed}
    made = {f"reference/{page}" for page in ("commands", "names", *docs_site.FROM_ROOT.values())}
    assert names - {docs_site.REST, "adr/0*"} <= {*docs_site.names_of_pages()} | made
    assert docs_site.REST in names


def notebook(*cells: tuple[str, list[str]]) -> str:
    return json.dumps({"cells": [{"cell_type": kind, "source": source} for kind, source in cells]})


def test_a_notebook_is_text_and_blocks_of_python() -> None:
    source = notebook(("markdown", ["# Title\n", "text"]), ("code", ["x = 1\n", "x"]))
    assert docs_site.notebook_text(source) == "# Title\ntext\n\n```python\nx = 1\nx\n```\n"


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("export", "[s](../SECURITY.md)", "[s](reference/security.md)"),
        ("tutorials/auto", "[s](../../SECURITY.md#a-b)", "[s](../reference/security.md#a-b)"),
        (
            "extending",
            "[c](../CONTRIBUTING.md) [t](../x.py)",
            "[c](reference/contributing.md) [t](../x.py)",
        ),
        ("adr/0001-x", "[r](../../README.md)", "[r](../index.md)"),
    ],
)
def test_links_to_the_top_of_the_repository_lead_to_pages(name: str, text: str, wanted: str) -> None:
    assert docs_site.linked(text, name) == wanted


def test_links_of_files_at_the_top_lead_one_folder_up() -> None:
    text = "[a](docs/adr/README.md) [b](CHANGELOG.md) [c](README.md)"
    assert docs_site.from_root(text) == "[a](../adr/README.md) [b](changelog.md) [c](../index.md)"


def test_pages_from_the_code_are_written_beside_the_others(tmp_path: Path) -> None:
    docs_site.write_made_pages(tmp_path)
    made = {path.stem for path in (tmp_path / "reference").glob("*.md")}
    assert made == {"commands", "names", "changelog", "contributing", "security"}
    assert docs_site.pages(tmp_path) == []


@pytest.mark.parametrize("path", docs_site.pages(), ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    text = path.read_text("utf-8")
    text = re.sub(r"```.*?```", "", docs_site.notebook_text(text) if path.suffix == ".ipynb" else text, flags=re.DOTALL)
    links = re.findall(r"\]\((?!\w+://|#)([^)#\s]+)", text)
    made = {"commands.md", "names.md"}
    lost = [link for link in links if not (path.parent / link).exists() and Path(link).name not in made]
    assert lost == []


def anchors(path: Path) -> set[str]:
    """Return the names by which a page's headings can be linked to."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in plain}


MARKDOWN = [path for path in docs_site.pages() if path.suffix == ".md"]


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.name)
def test_links_to_headings_lead_to_one(path: Path) -> None:
    links = re.findall(r"\]\((?!\w+://)([^)#\s]*\.md|)#([^)\s]+)\)", path.read_text("utf-8"))
    lost = [f"{file}#{name}" for file, name in links if name not in anchors(path.parent / file if file else path)]
    assert lost == []


@pytest.mark.parametrize("path", sorted(docs_site.DOCS.rglob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    book = json.loads(path.read_text("utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    assert not re.search(r"^[%!]", "\n".join("".join(cell["source"]) for cell in code), re.MULTILINE)
