"""
Do the claims about congestion control hold against a real kernel?

C{python benchmarks/lab.py [--seconds N] [--rate MBPS] [--buffer MS] [--delay MS] [--congestion NAME] [--plain]
[--only sharing late narrow forward programs wire answers] [--plot OUT.svg] [--json OUT]}

Linux, as root: it makes network namespaces, puts a bottleneck between them, sends uTP, kernel TCP and a UDP ping
through it, and leaves nothing behind.  See C{docs/lab.rst} for the method and for what was measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Run as a script: the packages beside this file are found from the checkout's root.  Last, so that an installed
# twisted_utp is the one that is measured.
sys.path.append(str(Path(__file__).resolve().parent.parent))

from benchmarks.bottleneck.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
