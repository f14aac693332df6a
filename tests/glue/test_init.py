"""
Is what the package promises there?
"""

from __future__ import annotations

import pytest

import twisted_utp


@pytest.mark.parametrize("name", twisted_utp.__all__)
def test_public_names(name: str) -> None:
    """Every public name can be imported, and dir() lists it."""
    assert getattr(twisted_utp, name) is not None
    assert name in dir(twisted_utp)


def test_unknown_name() -> None:
    """Others are AttributeErrors."""
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = twisted_utp.Nothing
