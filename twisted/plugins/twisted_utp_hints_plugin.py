"""
Which endpoint strings are known only to be explained?

A file of its own: the objects in an existing plugin file are frozen, see C{twisted_utp_plugin.py}.
"""

from __future__ import annotations

from twisted_utp._parsers import UTP6ClientParser

utp6_client = UTP6ClientParser()
