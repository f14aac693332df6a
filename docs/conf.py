"""
How are these pages built?  ``sphinx-build -W --keep-going docs build/docs``: any warning fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

from twisted_utp import __version__

project = "twisted-utp"
author = "twisted-utp contributors"
copyright = "2026, twisted-utp contributors"
release = version = __version__

extensions = ["api_reference", "plain_links", "sphinx_copybutton"]
exclude_patterns = ["congestion_table.rst", "scavenger_table.rst"]
highlight_language = "text"
smartquotes = False
nitpicky = True

html_theme = "furo"
html_title = f"twisted-utp {release}"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_copy_source = True
html_show_sourcelink = True

# Only blocks that somebody may want to type again: output and diagrams need no button.
copybutton_selector = "div.highlight-sh pre, div.highlight-python pre, div.highlight-ini pre, div.highlight-yaml pre"
