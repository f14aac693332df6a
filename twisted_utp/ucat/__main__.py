"""
C{python -m twisted_utp.ucat}: see L{twisted_utp.ucat}.
"""

from __future__ import annotations

import sys

from twisted_utp.ucat.command import main

sys.exit(main())
