"""What Sphinx is told. `make docs` builds the site, and a warning fails it: adr/0029-the-site-is-built-by-sphinx.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tfcompress import __version__

project, author, version, release = "tfcompress", "the makers of tfcompress", __version__, __version__
project_copyright = "the makers of tfcompress, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "tools.docs_site"]
exclude_patterns = ["examples", "site", "static"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"tfcompress {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
smartquotes = False  # two hyphens begin a flag
html_copy_source = False
html_show_sphinx = False
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_use_ivar = True
