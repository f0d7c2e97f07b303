"""benchmarks.slim."""

from __future__ import annotations

from pathlib import Path

from benchmarks import slim
from tests.tflite.make_files import FOLDER

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks.md"


class Silent:
    """A converter whose interpreter is not there."""

    def digest_in_tensorflow(self, content: bytes) -> tuple[str, str]:
        return "", "not here"


def test_a_file_gets_a_line_with_its_bytes_and_where_it_was_proven() -> None:
    ((name, scheme, content),) = slim.contents([FOLDER / "int8.tflite"], Silent())
    line = slim.row(name, scheme, content, Silent())
    assert line[:3] == ("int8", "", f"{len(content):,} B")
    assert line[6] == "LiteRT, LiteRT's reference kernels"
    before, after = (int(text.removesuffix(" B").replace(",", "")) for text in line[2:4])
    assert line[4] == f"{100 * (1 - after / before):.1f} %"


def test_the_table_has_its_place_in_the_docs() -> None:
    text = DOCS.read_text("utf-8")
    assert f"| {' | '.join(slim.HEAD)} |" in text
    assert slim.update(text, "files", "new", "slim").count("new\n<!-- end of slim: files -->") == 1
