"""``tfcompress report``: runs beside each other as one page."""

from __future__ import annotations

from pathlib import Path

import click

from tfcompress.cli.options import new_file

HELP = """\
Draw runs as one page that needs no network: what they weigh, take and lose, with the front, and everything about each.

\b
  tfcompress report model-int8/ model-qat-int8/ -o page.html
  tfcompress report runs/ pi.json -o page.html

RUN is a folder that export wrote, a folder of such folders (of demo, of auto), a report.json, or a measurement by
edge_runner, which is joined to the runs that it is about. Nothing is computed anew: no model is opened.
"""


@click.command("report", help=HELP, short_help="Draw runs as one page.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", required=True, help="Where to write the page: a name ending in .html.")
@click.option("-f", "--force", is_flag=True, help="Replace an existing file.")
def command(runs: tuple[str, ...], output: str, force: bool) -> None:
    target = new_file(output, (".html", ".htm"), "a page", force=force)
    if target.is_dir():
        from tfcompress.errors import OutputError

        msg = f"{target} is a folder, and a page is a file; choose another place with -o"
        raise OutputError(msg)
    from tfcompress.cli.terminal import terminal
    from tfcompress.files import write_atomic
    from tfcompress.reports.run_page import to_run_page
    from tfcompress.reports.run_records import read_runs

    with terminal() as screen:
        found = read_runs([Path(run) for run in runs])
        for note in found.notes:
            screen.progress.note(note)
        page = to_run_page(found)
        write_atomic(target, page)
        count = len(found.records)
        runs_written = f"{count:,} run{'' if count == 1 else 's'}"
        screen.write(f"written: {target} ({len(page.encode()):,} B, {runs_written})\n")
