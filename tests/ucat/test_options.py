"""
Which command lines are understood, and which endpoints do they describe?
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, serverFromString

from twisted_utp import UTPConfig
from twisted_utp.proto.congestion.base import congestion_controller_names
from twisted_utp.ucat.exits import Exit
from twisted_utp.ucat.options import parse


@pytest.mark.parametrize(
    ("words", "endpoint"),
    [
        ("example.org 9000", "utp:host=example.org:port=9000"),
        ("fe80::1%eth0 9000", r"utp:host=fe80\:\:1%eth0:port=9000"),
        ("h 1 -s ::1 -p 7", r"utp:host=h:port=1:bindAddress=\:\:1:bindPort=7"),
        ("h 1 --no-delay --mtu 900 --connect-timeout 2", "utp:host=h:port=1:mtu=900:timeout=2:noDelay=1"),
        ("--max-rate 2MB/s --max-port-rate 10M h 1", "utp:host=h:port=1:maxRate=2MB/s:maxPortRate=10M"),
        ("--no-pacing utp:h:1", "utp:h:1:pacing=0"),
        ("tcp:h:1", "tcp:h:1"),
        ("-l 9000", "utp:9000"),
        ("-l -6 9000", "utp6:9000"),
        ("-l -4 9000", "utp:9000"),
        ("-6 example.org 9000", "utp:host=example.org:port=9000:ipVersion=6"),
        ("-4 utp:example.org:9000 --mtu 900", "utp:example.org:9000:ipVersion=4:mtu=900"),
        ("[::1] 9000", r"utp:host=[\:\:1]:port=9000"),
        ("-l 9000 -s [::1]", r"utp:9000:interface=[\:\:1]"),
        ("-l 9000 -s 127.0.0.1 --backlog 5", "utp:9000:interface=127.0.0.1:backlog=5"),
        ("-l utp:9000:interface=127.0.0.1", "utp:9000:interface=127.0.0.1"),
        ("-l tcp:9000", "tcp:9000"),
    ],
)
def test_endpoint(words: str, endpoint: str) -> None:
    """Host, port and settings become one endpoint string, which Twisted understands."""
    options = parse(words.split())
    assert options.endpoint == endpoint
    if not endpoint.startswith("tcp"):
        (serverFromString if options.listen else clientFromString)(None, endpoint)


def test_colons_are_escaped(tmp_path: Any) -> None:
    """In the name of a directory, which is made, too."""
    folder = tmp_path / "a:b"
    assert parse(["--trace", str(folder), "utps:h:1"]).endpoint == rf"utps:h:1:trace={tmp_path}/a\:b"
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "expected HOST and PORT, or an endpoint string, to connect to"),
        ("h", "expected HOST and PORT, or an endpoint string"),
        ("h 1 2", "expected HOST and PORT, or an endpoint string"),
        ("-l", "expected one PORT, or an endpoint string, to listen on"),
        ("-l h 1", "expected one PORT, or an endpoint string, to listen on"),
        ("-k h 1", "--keep: only with --listen"),
        ("-6 -l utp:9000", "--ipv6: write it into the endpoint string, utp:PORT for IPv4, utp6:PORT for IPv6"),
        ("-4 tcp:h:1", "--ipv4: only for utp: and utps: endpoints"),
        ("-4 -6 h 1", "argument -6/--ipv6: not allowed with argument -4/--ipv4"),
        ("h 1 -w soon", "argument -w/--wait: 'soon': expected 0.1 to 86400 seconds"),
        ("h 1 -w 0", "argument -w/--wait: '0': expected 0.1 to 86400 seconds"),
        ("-l 1 -p 2", "--source-port: only without --listen"),
        ("-l 1 --connect-timeout 2", "--connect-timeout: only without --listen"),
        ("h 1 --backlog 2", "--backlog: only with --listen"),
        ("tcp:h:1 --mtu 900", "--mtu: only for utp:, utp6: and utps: endpoints"),
        ("utp:h:1 -s 1.2.3.4", "--source: write it into the endpoint string, as bindAddress=1.2.3.4"),
        ("h 1 -e x -d", "--no-stdin: not with --exec, which does not read standard input"),
        ("h 1 --target-delay 9", "argument --target-delay: 9.0: expected 0.005 to 1.0 seconds"),
        ("h 1 --mtu many", "argument --mtu: 'many': expected 150 to 65507 bytes"),
        ("h 1 --congestion reno", "argument --congestion: 'reno': expected one of"),
        ("h 1 --stat json", "unrecognized arguments: --stat json"),
    ],
)
def test_mistakes(words: str, message: str, capsys: Any) -> None:
    """One line that says what is wrong, and exit code 2."""
    with pytest.raises(SystemExit) as caught:
        parse(words.split())
    assert caught.value.code == Exit.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ucat: {message}")
    assert line.endswith("; see ucat --help")


def test_traces_that_cannot_be_written(tmp_path: Any, capsys: Any) -> None:
    """Who asks for a trace is told at once that there will be none."""
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as caught:
        parse(["h", "1", "--trace", str(tmp_path / "file" / "traces")])
    assert caught.value.code == Exit.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"ucat: --trace {tmp_path}/file/traces: not a directory; see ucat --help"


def test_every_setting_is_an_option(capsys: Any) -> None:
    """Each with a description that makes sense without the source."""
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = capsys.readouterr().out
    settings = " ".join(text.partition("transport settings")[2].partition("examples:")[0].split())
    for field in fields(UTPConfig):
        option = f"--{'no-' if field.default is True else ''}{field.name.replace('_', '-')}"
        _, found, description = settings.partition(f" {option} ")
        assert found, option
        assert len(description.partition(" --")[0]) > 20, option
    assert f"{', '.join(congestion_controller_names())}. [default: scavenger]" in settings
    assert "[default: discovered]" in settings
    assert "With -l: half-open connections" in settings
    assert not any(mark in settings for mark in ("L{", "C{", "}", "True", "False", "None"))


def test_help_fits(capsys: Any, monkeypatch: Any) -> None:
    """It fits a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        parse(["-h"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 82
