"""
What do the options mean for the endpoints?
"""

from __future__ import annotations

import pytest

from twisted_utp.forward import Options


def parsed(*words: str) -> Options:
    """The options of a command line."""
    options = Options()
    options.parseOptions(list(words))
    return options


@pytest.mark.parametrize(
    ("end", "limited"),
    [
        ("utp:9000:stallTimeout=5", "utp:9000:stallTimeout=5:maxRate=2MB/s:maxPortRate=1Gi"),
        ("UTP6:9000:linger=5", "UTP6:9000:linger=5:stallTimeout=86400:maxRate=2MB/s:maxPortRate=1Gi"),
        ("utps:h:9000", "utps:h:9000:stallTimeout=86400:maxRate=2MB/s:maxPortRate=1Gi"),
        ("tcp:h:22", "tcp:h:22"),
    ],
)
def test_rates(end: str, limited: str) -> None:
    """They are added to the strings that are uTP's, as they were written."""
    options = parsed("--listen", "utp:1", "--connect", end, "--max-rate", "2MB/s", "--max-port-rate=1Gi")
    assert options.completed(options.ends["connect"][0]) == limited
    assert parsed("-l", "utp:1", "-c", end).completed(end) == limited.partition(":maxRate")[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "-l utp:1 -c tcp:h:1 --max-rate 2Mb/s",
            "utp-forward: --max-rate 2Mb/s: expected 0 to 100000000000 bytes a second",
        ),
        ("-l utp:1 -c tcp:h:1 --max-port-rate=-1", "utp-forward: --max-port-rate -1: expected 0 to 100000000000 bytes"),
        (
            "-l utp:1 -c tcp:h:1 --max-rate=101G",
            "utp-forward: --max-rate 101G: expected 0 to 100000000000 bytes a second",
        ),
        ("-l tcp:1 -c tcp:h:1 -l tcp:2", "utp-forward: 2 --listen and 1 --connect: expected one --connect for each"),
        ("-l tcp:1 -c tcp:h:1 --proxy-protocol 3", "utp-forward: --proxy-protocol 3: expected 0 to 2"),
        ("-l tcp:1 -c tcp:h:1 --max-rate 1M", "utp-forward: --max-rate: only for utp:, utp6: or utps: endpoints"),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], words: str, message: str) -> None:
    """One line, and exit code 64."""
    with pytest.raises(SystemExit) as ended:
        parsed(*words.split())
    assert ended.value.code == 64
    assert capsys.readouterr().err.startswith(message)
