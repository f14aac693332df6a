"""
Which endpoint strings does this distribution teach Twisted?

The objects here are frozen: Twisted caches what it finds by the file's time, so one that is added to an existing
file may go unnoticed.  A new plugin goes into a new file.
"""

from __future__ import annotations

from twisted_utp._parsers import UTPClientParser, UTPServerParser

utp_server = UTPServerParser("utp")
utp6_server = UTPServerParser("utp6", interface="::")
utp_client = UTPClientParser("utp")
