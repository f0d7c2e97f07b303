"""``tfcompress report``: one page out of runs, and one line for what is none."""

import pytest

from tests.reports.test_html import a_report
from tfcompress.cli.main import run_command


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    a_report().save(folder / "report.json")
    return folder


def test_it_writes_the_page_and_says_where(run, tmp_path, capfd):
    page = tmp_path / "page.html"
    assert run_command(["report", str(run), "-o", str(page)]) == 0
    assert page.read_text().startswith("<!doctype html>")
    assert f"written: {page} ({page.stat().st_size:,} B, 1 run)" in capfd.readouterr().out


def test_an_existing_page_stays_unless_forced(run, tmp_path, capfd):
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert run_command(["report", str(run), "-o", str(page)]) == 8
    assert "exists already; give --force" in capfd.readouterr().err
    assert page.read_text() == "mine"
    assert run_command(["report", str(run), "-o", str(page), "-f"]) == 0
    assert page.read_text() != "mine"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["report"], 2, "Missing argument"),
        (["report", "{run}"], 2, "Missing option '-o'"),
        (["report", "{run}", "-o", "{tmp}/page.pdf"], 2, "-o must end in .html"),
        (["report", "{tmp}/folder.html", "-o", "{tmp}/page.html"], 2, "holds no report.json"),
        (["report", "{tmp}/nowhere", "-o", "{tmp}/page.html"], 2, "cannot be read: No such file"),
        (["report", "{run}", "-o", "{tmp}/folder.html", "--force"], 8, "is a folder, and a page is a file"),
        (["report", "{run}", "-o", "{tmp}/no/page.html"], 8, "no"),
    ],
)
def test_a_mistake_is_one_line(run, tmp_path, capfd, words, code, said):
    (tmp_path / "folder.html").mkdir()
    asked = [word.format(run=run, tmp=tmp_path) for word in words]
    assert run_command(asked) == code
    told = capfd.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not (tmp_path / "page.html").exists()
