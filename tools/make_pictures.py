"""Makes the README's picture: what ``tfcompress export`` prints about the demo's model, as it was printed.

``python -m tools.make_pictures [--output docs/report.svg]``; half a minute.
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

from rich.console import Console

import tfcompress as tfc
from tfcompress import demo
from tfcompress.data.preprocessing import Preprocessing, parse_scale
from tfcompress.reports.printing import print_report

OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "report.svg"
WIDTH = 110
"""Columns of the terminal in the picture."""

_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Rich's fonts from the network: whoever looks at the picture has one of equal widths."""


def main() -> None:
    """Run the export, and draw what it prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    output = parser.parse_args().output
    data = tfc.load_data(demo.DATA, preprocessing=Preprocessing(scale=parse_scale(demo.SCALE)))
    result = tfc.compress(demo.MODEL, "int8", data)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    print_report(result.report, console)
    title = f"tfcompress export {Path(demo.MODEL).name} --quantize int8 --data {Path(demo.DATA).name}"
    output.write_text(_FONT.sub("", console.export_svg(title=title)), "utf-8")


if __name__ == "__main__":
    main()
