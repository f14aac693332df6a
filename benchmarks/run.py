"""
How does C{twisted_utp} compare with its peers, on this machine?

C{python benchmarks/run.py [--rounds N] [--only NAME...] [--mb N] [--json OUT] [--plot OUT.svg] [--list]}

See C{docs/performance.rst} for the method and for what was measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a script: the packages beside this file are found from the checkout's root.  Last, so that an installed
# twisted_utp is the one that is measured.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from benchmarks.command import main

if __name__ == "__main__":
    main(sys.argv[1:])
