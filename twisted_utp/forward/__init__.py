"""
C{twist utp-forward}: forwards TCP services over uTP.

It accepts connections on one endpoint and carries each to another, so that any TCP service becomes one that steps
aside for other traffic::

    twist utp-forward --listen utp:9000 --connect tcp:localhost:22               # where the service is
    twist utp-forward --listen tcp:2222 --connect utp:backup.example:9000        # where its users are
"""

from __future__ import annotations

from twisted_utp.forward.options import Options
from twisted_utp.forward.plugin import makeService

__all__ = ["Options", "makeService"]
