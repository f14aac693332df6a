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

extensions = ["api_reference", "plain_links"]
exclude_patterns = ["congestion_table.rst", "neighbours_table.rst", "scavenger_table.rst"]
highlight_language = "text"
smartquotes = False
nitpicky = True

html_theme = "alabaster"
html_theme_options = {
    "description": "uTP (BEP-29) as a Twisted transport",
    "fixed_sidebar": True,
    "page_width": "1120px",
    "sidebar_width": "230px",
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_copy_source = True
html_show_sourcelink = True
