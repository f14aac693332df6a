"""
How does one talk HTTP to a client in another namespace?
"""

from __future__ import annotations

import http.client
import secrets
import urllib.parse
from collections.abc import Mapping

from benchmarks.bottleneck.namespaces import Namespace
from harness.network import dial


def post(
    namespace: Namespace, port: int, path: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """
    Ask a server on loopback there: its status, headers and answer.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.sock = dial(namespace, ("127.0.0.1", port))
    try:
        connection.request("POST", path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def form(fields: Mapping[str, str | bytes]) -> tuple[bytes, str]:
    """
    A form with these fields, and its content type.  Bytes are a file.
    """
    if all(isinstance(value, str) for value in fields.values()):
        return urllib.parse.urlencode(fields).encode(), "application/x-www-form-urlencoded"
    boundary = secrets.token_hex(16)
    parts = []
    for name, value in fields.items():
        file = f'; filename="{name}"' if isinstance(value, bytes) else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        parts.append(head.encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
