"""
How can pages refer to each other, and stay readable as text?

They say C{``docs/ports.rst``}, which is what whoever reads the files needs to know.  In HTML that becomes a link.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

PAGE = re.compile(r"docs/([\w/]+)\.rst")


class PlainLinks(SphinxTransform):
    """
    Turns the names of pages into links to them; a page that does not exist is a warning.
    """

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        """
        All of them.
        """
        for literal in list(self.document.findall(nodes.literal)):
            found = PAGE.fullmatch(literal.astext())
            if found and not isinstance(literal.parent, nodes.reference):
                link = pending_xref(
                    "", refdomain="std", reftype="doc", reftarget=f"/{found[1]}", refexplicit=False, refwarn=True
                )
                link += nodes.inline("", literal.astext())
                literal.replace_self(link)


def setup(app: Sphinx) -> dict[str, Any]:
    """
    Tell Sphinx.
    """
    app.add_transform(PlainLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
