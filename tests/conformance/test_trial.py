"""
Do Twisted's own tests pass when their TCP is uTP?

See C{trial_over_utp.py}, which also says what is left out.
"""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.conformance

HERE = Path(__file__).resolve().parent

SUITES = [
    "twisted.internet.test.test_tcp",
    "twisted.test.test_tcp",
    "twisted.test.test_ftp",
    "twisted.test.test_policies",
    "twisted.test.test_protocols",
    "twisted.test.test_amp",
    "twisted.test.test_loopback",
    "twisted.test.test_ssl",
    "twisted.spread.test.test_pb",
    "twisted.web.test.test_xmlrpc",
    "twisted.web.test.test_distrib",
    "twisted.web.test.test_cgi",
    "twisted.mail.test.test_smtp",
    "twisted.mail.test.test_imap",
    "twisted.mail.test.test_pop3client",
    "twisted.words.test.test_service",
    "twisted.conch.test.test_ssh",
]

# The page says why not.
NOT_RUN = {"twisted.names.test.test_names", "twisted.mail.test.test_mail"}

# Those whose tests are all of connections, and that neither have TLS of their own nor look at what TLS wraps.
OVER_TLS = [
    "twisted.test.test_policies",
    "twisted.test.test_protocols",
    "twisted.web.test.test_xmlrpc",
    "twisted.web.test.test_distrib",
    "twisted.words.test.test_service",
    "twisted.conch.test.test_ssh",
]


def run(start: Any, folder: Path, pem: Path | str, suite: str) -> None:
    """
    Run a module of Twisted's tests, and expect that all pass.
    """
    program = HERE / "trial_over_utp.py"
    trial = start(sys.executable, program, pem, "--temp-directory", folder / "trial", suite, cwd=folder)
    trial.wait_for_exit(timeout=300)
    assert re.search(r"^PASSED \(.*successes=[1-9]", trial.output[-1])


@pytest.mark.parametrize("suite", SUITES)
def test_over_utp(start: Any, tmp_path: Path, suite: str) -> None:
    """Over C{utp:} strings."""
    run(start, tmp_path, "-", suite)


@pytest.mark.parametrize("suite", OVER_TLS)
def test_over_tls(start: Any, tmp_path: Path, pem: Path, suite: str) -> None:
    """Over C{utps:} strings."""
    run(start, tmp_path, pem, suite)


def test_table(checkout: Path) -> None:
    """docs/conformance.rst names every test that is left out, and no other, and every suite that is run."""
    page = (checkout / "docs" / "conformance.rst").read_text()
    program = runpy.run_path(str(HERE / "trial_over_utp.py"))
    left_out = {name for names in program["LEFT_OUT"].values() for name in names}
    written = set(re.findall(r"``(twisted\.[\w.]+\.test\.[\w.*]+|twisted\.test\.[\w.]+)``", page))
    assert written - NOT_RUN == left_out | set(SUITES)
