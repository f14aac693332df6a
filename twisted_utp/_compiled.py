"""
Tells whether the core runs as Python, or as the extension that mypyc compiles it to.
"""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec


def _is_extension(module: str) -> bool:
    spec = find_spec(module)
    return spec is not None and str(spec.origin).endswith(tuple(EXTENSION_SUFFIXES))


__compiled__ = _is_extension("twisted_utp.proto.connection")
"""
Whether C{TWISTED_UTP_COMPILE=1} was set when the package was installed.
"""


def product() -> str:
    """
    The package's name, as programs print it with their version.
    """
    return "twisted-utp, compiled" if __compiled__ else "twisted-utp"
