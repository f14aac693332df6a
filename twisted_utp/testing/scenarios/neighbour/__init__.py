"""
How gentle a neighbour is a controller, and what does that cost it?

The goals of the default controller, each a row: C{python -m twisted_utp.testing.scenarios --rows} prints them with what
each controller reached.  The other scenarios ask whether one controller works; these compare several.
"""

from twisted_utp.testing.scenarios.neighbour.rows import Row, all_rows

__all__ = ["Row", "all_rows"]
