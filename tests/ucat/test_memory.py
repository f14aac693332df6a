"""
Do files of any size pass through ucat in constant memory?
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

# Much more than all buffers together, so that whatever holds the file, or grows with it, is seen.
SIZE = 96_000_000

# What may come on top of the loaded program: receive buffer 4 MB, output queue 2 MB, reading ahead 1 MB, and the same
# again for pieces on their way and what the allocator keeps.  14 MB (sender) and 25 MB (receiver) were measured, for
# 96 MB as for 400 MB.
ALLOWED = 40_000_000

# ucat, and how far its memory grew.  Not ru_maxrss: Linux lets a program inherit that from whoever started it.
MEASURED = """
import re, sys
from twisted_utp.ucat import command

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

from twisted.internet import reactor
import twisted_utp.transport
before = peak()
code = command.main()
print("grew by", peak() - before, "to", peak(), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process its peak")
def test_constant_memory(ucat: Any, listening: Any, tmp_path: Path) -> None:
    """96 MB from a file into a pipe whose reader is slower than the network."""
    original = tmp_path / "original"
    block = hashlib.shake_256(b"memory").digest(1_000_000)
    with open(original, "wb") as file:
        for _ in range(SIZE // len(block)):
            file.write(block)
    program = (sys.executable, "-c", MEASURED)
    with open(original, "rb") as source:
        receiver = listening(program=program)
        sender = ucat("127.0.0.1", receiver.port(), stdin=source, program=program)
        got, length = hashlib.sha512(), 0
        while data := receiver.process.stdout.read(65536):
            got.update(data)
            length += len(data)
        sender.end()
        receiver.end()
    assert (length, got.digest()) == (SIZE, hashlib.sha512(original.read_bytes()).digest())
    for one in (sender, receiver):
        assert int(re.search(r"grew by (\d+)", one.errors())[1]) < ALLOWED
