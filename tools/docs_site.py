"""The Sphinx extension that the site is built by: notebooks as pages, pages from the code, and no page left out.

``docs/conf.py`` names it. Pages that are made here lie in ``docs/reference``, which git does not know.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from tools import docs_reference

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = "reference"
"""The folder, in that of the pages, of those that are made from other files."""

FROM_ROOT = {"CHANGELOG.md": "changelog", "CONTRIBUTING.md": "contributing", "SECURITY.md": "security"}
"""Files at the top of the repository that the site has, too -> what their pages are called."""

REST = "PAGES-WITHOUT-A-PLACE"
"""Stands in a list of docs/index.md for the pages that no list names."""


def pages(docs: Path = DOCS) -> list[Path]:
    """Return the pages and notebooks that people have written, sorted."""
    found = [path for kind in ("md", "ipynb") for path in docs.rglob(f"*.{kind}")]
    return sorted(path for path in found if path.relative_to(docs).parts[0] not in (MADE, "site"))


def notebook_text(source: str) -> str:
    """Return a notebook as Markdown: its text as it is, its code in blocks."""
    parts = []
    for cell in json.loads(source)["cells"]:
        text = "".join(cell["source"])
        parts.append(f"```python\n{text}\n```" if cell["cell_type"] == "code" else text)
    return "\n\n".join(parts) + "\n"


def completed(index: str, names: list[str]) -> str:
    """Return the text of the index with the pages that no list names in the place of :data:`REST`.

    Args:
        index: text of docs/index.md.
        names: of all pages, without their suffixes, as the lists of the index have them.
    """
    listed = {re.sub(r".*<(.*)>", r"\1", line.strip()) for line in index.splitlines()}
    missing = [name for name in names if name not in listed and name != "index" and not name.startswith("adr/")]
    return index.replace(REST, "\n".join(missing))


def names_of_pages(docs: Path = DOCS) -> list[str]:
    """Return the names by which lists of the index call the pages."""
    return [str(path.relative_to(docs).with_suffix("")) for path in pages(docs)]


def linked(text: str, name: str) -> str:
    """Return a page's text with its links to files at the top of the repository leading to their pages of the site."""
    back = "../" * name.count("/")
    for file, page in FROM_ROOT.items():
        text = re.sub(rf"\]\((?:\.\./)+{re.escape(file)}(#[\w-]+)?\)", rf"]({back}{MADE}/{page}.md\1)", text)
    return re.sub(r"\]\((?:\.\./)+README\.md\)", rf"]({back}index.md)", text)


def from_root(text: str) -> str:
    """Return the text of a file at the top of the repository as a page in :data:`MADE`: links lead one folder up."""
    text = re.sub(r"\]\(docs/", "](../", text)
    for file, page in FROM_ROOT.items():
        text = text.replace(f"]({file})", f"]({page}.md)")
    return text.replace("](README.md)", "](../index.md)")


def write_made_pages(docs: Path = DOCS) -> None:
    """Write the pages that are made from the code and from files at the top of the repository."""
    made = docs / MADE
    made.mkdir(exist_ok=True)
    texts = {"commands": docs_reference.commands_page(), "names": docs_reference.names_page()}
    texts |= {page: from_root((ROOT / file).read_text("utf-8")) for file, page in FROM_ROOT.items()}
    for name, text in texts.items():
        (made / f"{name}.md").write_text(text, "utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx what is done here, and when."""
    from myst_parser.parsers.sphinx_ import MystParser

    class Notebook(MystParser):
        """A notebook, read as the Markdown that it is."""

        supported = ("notebook",)

    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(Notebook)
    app.connect("builder-inited", lambda app: write_made_pages(Path(app.srcdir)))
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}


def _read(app: Any, name: str, source: list[str]) -> None:
    if os.fspath(app.env.doc2path(name)).endswith(".ipynb"):
        source[0] = notebook_text(source[0])
    if name == "index":
        source[0] = completed(source[0], names_of_pages(Path(app.srcdir)))
    source[0] = linked(source[0], name)
