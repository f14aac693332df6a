"""
Which endpoint strings put TLS over uTP?

A file of its own: the objects in an existing plugin file are frozen, see C{twisted_utp_plugin.py}.
"""

from __future__ import annotations

from twisted_utp._tls_parsers import UTPSClientParser, UTPSServerParser

utps_server = UTPSServerParser("utps")
utps_client = UTPSClientParser("utps")
