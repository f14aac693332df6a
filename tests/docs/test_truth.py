"""
Is what the documentation says about the code what the code says?
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from docutils import nodes
from twisted.internet.endpoints import clientFromString, serverFromString

from twisted_utp import UTPConfig
from twisted_utp.forward.options import Options
from twisted_utp.proto.config import RANGES
from twisted_utp.proto.states import State
from twisted_utp.testing import Pair
from twisted_utp.testing.reactor import SimulatedReactor
from twisted_utp.ucat import options as ucat

CHECKOUT = Path(__file__).resolve().parent.parent.parent
FACTORS = {"KiB": 1024, "MiB": 1024 * 1024}


@pytest.fixture(scope="module")
def diagram() -> ModuleType:
    """
    C{docs/state_diagram.py}.
    """
    spec = importlib.util.spec_from_file_location("state_diagram", CHECKOUT / "docs" / "state_diagram.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_diagram_is_the_tables(diagram: Any) -> None:
    """
    The text and the picture are what the table of states gives.
    """
    for name, draw in diagram.FILES.items():
        written = (CHECKOUT / "docs" / name).read_text("utf-8")
        assert written == draw(), f"docs/{name} is out of date: python docs/state_diagram.py"


def observed(*calls: tuple[float, str, str], lost: bool = False) -> set[tuple[str, str]]:
    """
    The steps that both ends of a connection take, when it is used so.

    @param calls: after how many seconds, at which end, what.
    """
    steps: set[tuple[str, str]] = set()

    def trace(now: int, address: Any, connection_id: int, event: str, **data: Any) -> None:
        if event == "state_updated":
            steps.add((data["old"], data["new"]))

    pair = Pair(tracer=trace, log=False)
    ends = pair.connect()
    for seconds, end, what in calls:
        pair.run_for(seconds)
        node, record = getattr(pair, end), getattr(ends, end)
        getattr(record.connection, what)(now=node.now())
        node.flush()
    if lost:
        pair.up.down_for(60_000_000)
    pair.run_for(90)
    return steps


def test_diagram_is_what_connections_do(diagram: Any) -> None:
    """
    Connections that end in each order take every arrow of the picture, and none that it lacks.
    """
    drawn = {(before.name, following.name) for before, _, following in diagram.arrows()}
    seen = observed((1, "client", "write_eof"), (1, "server", "write_eof"))
    seen |= observed((1, "client", "write_eof"), (0, "server", "write_eof"))
    seen |= observed((1, "client", "close"))
    seen |= observed((0, "server", "write_eof"), (1, "client", "write_eof"))
    seen |= observed((1, "server", "write_eof"), (1, "client", "abort"))
    sudden = {(state.name, State.CLOSED.name) for state in State}
    assert seen <= drawn | sudden
    assert {before for before, _ in drawn - seen} <= {"SYN_RECEIVED"}


def inline(page: Any) -> list[str]:
    """
    What a page has between double backquotes.
    """
    return [node.astext() for node in page.findall(nodes.literal)]


def test_files_exist(tree: Any) -> None:
    """
    The files that a page names are there.
    """
    for text in inline(tree):
        if re.fullmatch(r"(docs|tests|examples|benchmarks|twisted_utp|twisted)/[\w./]+", text):
            assert (CHECKOUT / text).exists(), text


def test_extras_exist(tree: Any, extras: set[str]) -> None:
    """
    What C{pip install} is told to install with the package is an extra.
    """
    for found in re.finditer(r"(?:twisted-utp|'\.)\[([\w,]+)\]", tree.astext()):
        assert set(found[1].split(",")) <= extras, found[0]


def test_endpoint_strings_are_understood(tree: Any) -> None:
    """
    The endpoint strings that a page names can be parsed, by a server or by a client.
    """
    reactor = SimulatedReactor(Pair().client.host)
    for text in inline(tree):
        if not re.fullmatch(r"utp6?:\S*\w", text) or "..." in text or "=FILE" in text or text.endswith("="):
            continue
        concrete = text.replace("HOST", "192.0.2.7").replace("PORT", "9000").replace("far:", "192.0.2.7:")
        if "fd=" in concrete or "systemd=" in concrete:
            continue  # a socket that is there: tests/glue/test_real_sockets.py
        failures = []
        for parse in (serverFromString, clientFromString):
            try:
                parse(reactor, concrete)
            except ValueError as error:
                failures.append(str(error))
        assert len(failures) < 2, (text, failures)


def camel_case(name: str) -> str:
    """
    As a key of endpoint strings.
    """
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def number(text: str) -> float:
    """
    C{16 KiB} is 16384.
    """
    value, _, unit = text.partition(" ")
    return float(value) * FACTORS.get(unit, 1)


def test_settings_are_the_codes() -> None:
    """
    Each setting has its row, with the range and the default that it has.
    """
    text = (CHECKOUT / "docs" / "endpoint_strings.rst").read_text("utf-8")
    rows = {
        found[1]: (found[2].strip(), found[3].strip())
        for found in re.finditer(r"^``(\w+)``\s{2,}(\S.{22})\s{2}(.{15})\s{2}", text, re.MULTILINE)
    }
    config = UTPConfig()
    elsewhere = {"backlog", "connect_timeout"}  # servers' and clients' own keys
    assert set(rows) == {camel_case(name) for name in UTPConfig.__dataclass_fields__ if name not in elsewhere}
    for name, allowed in RANGES.items():
        if name in elsewhere:
            continue
        shown, default = rows[camel_case(name)]
        found = re.fullmatch(r"([\d.]+(?: [KM]iB)?) to ([\d.]+(?: [KM]iB)?)(?: s| bytes)?", shown)
        assert found is not None, (name, shown)
        assert (number(found[1]), number(found[2])) == (allowed["low"], allowed["high"]), name
        value = getattr(config, name)
        if value is not None:
            assert number(re.split(r"[,(]", default)[0].strip()) == value, name


def rows_of(page: str) -> dict[str, list[str]]:
    """
    All rows of a page's tables, by their first cell; of two with the same, the first.
    """
    name = CHECKOUT / "docs" / page
    found: dict[str, list[str]] = {}
    table = re.compile(r"^=+(?:  +=+)+$\n(.*?\n)^=+(?:  +=+)+$\n(.*?\n)^=+(?:  +=+)+$", re.MULTILINE | re.DOTALL)
    for match in table.finditer(name.read_text("utf-8")):
        columns = [one.span() for one in re.finditer("=+", match[0].splitlines()[0])]
        for line in match[2].splitlines():
            head, *cells = [line[start:end].strip() for start, end in columns]
            found.setdefault(head, cells)
    return found


def test_comparison_has_the_figures_of_the_performance_page() -> None:
    """
    What the comparison says about costs was measured, and is what was measured last.
    """
    measured = rows_of("performance.rst")
    compared = {head: cells for head, cells in rows_of("comparison.rst").items() if head in measured}
    assert len(compared) > 5, "the two pages' rows have other names"
    for head, cells in compared.items():
        assert cells == measured[head][: len(cells)], head


def print_lab_help() -> None:
    """
    What C{python benchmarks/lab.py --help} runs; C{benchmarks} is no installed package.
    """
    with pytest.MonkeyPatch.context() as patch, suppress(SystemExit):
        patch.syspath_prepend(str(CHECKOUT))
        importlib.import_module("benchmarks.bottleneck.command").main(["--help"])


def print_ucat_help() -> None:
    """
    What C{ucat --help} runs.
    """
    with suppress(SystemExit):
        ucat.parse(["--help"])


@pytest.mark.parametrize(
    ("manual", "print_help"),
    [
        ("docs/ucat.rst", print_ucat_help),
        ("docs/forward.rst", lambda: print(Options().getUsage())),
        ("docs/lab.rst", print_lab_help),
    ],
)
def test_options_exist(manual: str, print_help: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> None:
    """
    The options that the page of a program speaks of are the program's.

    No program is started: how soon one ends depends on what else the machine does.
    """
    print_help()
    usage = capsys.readouterr().out
    text = re.sub(
        r"^\.\. code-block.*?^(?=\S)", "", (CHECKOUT / manual).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    for option in set(re.findall(r"``(--[a-z][\w-]*)", text)):
        assert re.search(rf"(?:^|[\s,/]){option}\b", usage), (option, usage)


def test_modules_that_are_run_exist(tree: Any) -> None:
    """
    What C{python -m} is said to run is there.
    """
    for found in re.finditer(r"python -m (twisted_utp[\w.]*)", tree.astext()):
        assert importlib.util.find_spec(found[1]) is not None, found[0]


def test_rows_of_tables_are_whole(tree: Any) -> None:
    """
    A first cell that goes on in the next line begins a row of its own there, in the tables that these pages have.  So
    none ends in a comma, and no row but the heading's has nothing beside it.
    """
    for table in tree.findall(nodes.tgroup):
        for row in table.findall(nodes.row):
            first, *others = (cell.astext() for cell in row)
            assert not first.endswith(","), first
            assert isinstance(row.parent, nodes.thead) or any(others), first
