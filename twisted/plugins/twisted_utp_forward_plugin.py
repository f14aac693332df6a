"""
How does C{twist} know C{utp-forward}?

A file of its own: the objects in an existing plugin file are frozen, see C{twisted_utp_plugin.py}.
"""

from __future__ import annotations

from twisted.application.service import ServiceMaker

utp_forward = ServiceMaker(
    "uTP forwarder",
    "twisted_utp.forward",
    "Forward a TCP service over uTP, which yields to other traffic.",
    "utp-forward",
)
