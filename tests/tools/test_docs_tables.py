from __future__ import annotations

import pytest

from tools import docs_tables


@pytest.mark.parametrize("name", docs_tables.TABLES)
def test_the_docs_have_the_tables_of_the_program(name: str) -> None:
    file, make = docs_tables.TABLES[name]
    text = (docs_tables.ROOT / file).read_text("utf-8")
    assert docs_tables.updated(text, name, make()) == text, "run: python -m tools.docs_tables"


def test_a_table_out_of_date_is_told_and_then_written(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pathlib import Path

    root = Path(str(tmp_path))
    (root / "a.md").write_text("x\n<!-- t: python -m tools.docs_tables -->\nold | \\1\n<!-- /t -->\ny\n")
    monkeypatch.setattr(docs_tables, "ROOT", root)
    monkeypatch.setattr(docs_tables, "TABLES", {"t": ("a.md", lambda: "new \\1")})
    assert docs_tables.main(["--check"]) == 1
    assert capsys.readouterr().out == "out of date: a.md: t\n"
    assert docs_tables.main([]) == 0
    assert (root / "a.md").read_text() == "x\n<!-- t: python -m tools.docs_tables -->\nnew \\1\n<!-- /t -->\ny\n"
    assert docs_tables.main(["--check"]) == 0


def test_a_file_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no <!-- t: python -m tools"):
        docs_tables.updated("nothing", "t", "table")
