"""
Does what describes the package tell the truth, on an index as well as in a checkout?
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from twisted_utp import __version__

CHECKOUT = Path(__file__).resolve().parents[2]
README = (CHECKOUT / "README.rst").read_text("utf-8")


@pytest.fixture(scope="module")
def metadata() -> configparser.SectionProxy:
    """
    That of setup.cfg.
    """
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg", "utf-8")
    return setup["metadata"]


def addresses() -> Iterator[str]:
    """
    Of all links and pictures of the README.
    """
    settings = {"report_level": 5, "file_insertion_enabled": False}
    # Indexes know no Sphinx: what it adds to reStructuredText would be an error there, which .ci/run asks twine.
    for node in publish_doctree(README, settings_overrides=settings).findall():
        if isinstance(node, nodes.reference | nodes.target | nodes.image):
            address = node.get("uri") or node.get("refuri")
            if address is not None:
                yield address


def test_readme_has_no_relative_links() -> None:
    """
    They, and pictures like them, are dead on an index.
    """
    found = set(addresses())
    assert len(found) > 10
    assert {address for address in found if not address.startswith("https://")} == set()


def test_readme_links_to_what_is_there(metadata) -> None:
    """
    Links to the repository name files that it has.
    """
    raw = metadata["url"].replace("github.com", "raw.githubusercontent.com")
    places = re.compile(rf"{re.escape(metadata['url'])}/(?:blob|tree)/main/(.+)|{re.escape(raw)}/main/(.+)")
    ours = [place for address in addresses() if (place := places.fullmatch(address))]
    assert len(ours) > 10
    for place in ours:
        assert (CHECKOUT / (place[1] or place[2])).exists(), place[0]


def test_project_urls_belong_together(metadata) -> None:
    """
    All are at one place, which the README's links name, too.
    """
    urls = dict(line.split(" = ") for line in metadata["project_urls"].strip().splitlines())
    assert {"Documentation", "Changelog", "Issues"} <= urls.keys()
    assert all(url.startswith(metadata["url"] + "/") for url in urls.values())


def test_version_is_the_same_everywhere() -> None:
    """
    The changelog opens with it, with a date; the example of a trace names it.
    """
    changelog = (CHECKOUT / "CHANGELOG.rst").read_text("utf-8")
    first = re.search(r"^(\S+) \((\d{4}-\d\d-\d\d)\)\n-+$", changelog, re.MULTILINE)
    assert first is not None and first[1] == __version__
    for page in (CHECKOUT / "docs").rglob("*.rst"):
        assert set(re.findall(r"twisted_utp (\d[\w.]*)", page.read_text("utf-8"))) <= {__version__}, page


def test_classifiers_name_what_tox_runs(metadata) -> None:
    """
    A Python is named when tox tests it, from the oldest that pip installs on.
    """
    tox = configparser.ConfigParser()
    tox.read(CHECKOUT / "tox.ini", "utf-8")
    tested = re.findall(r"\d+", re.search(r"py3\{([\d,]+)\}", tox["tox"]["envlist"])[1])
    named = re.findall(r"Python :: 3\.(\d+)$", metadata["classifiers"], re.MULTILINE)
    assert named == tested
    setup = (CHECKOUT / "setup.cfg").read_text("utf-8")
    assert f"python_requires = >=3.{tested[0]}\n" in setup


def test_floors_of_twisted_agree() -> None:
    """
    Every extra that names Twisted asks for the release that tox tests as the lowest.
    """
    setup = (CHECKOUT / "setup.cfg").read_text("utf-8")
    floors = set(re.findall(r"^ +twisted(?:\[\S+\])? >= (\S+)$", setup, re.MULTILINE))
    lowest = re.search(r"twistedlowest: twisted\S*==(\S+)$", (CHECKOUT / "tox.ini").read_text("utf-8"), re.MULTILINE)
    assert lowest is not None and len(floors) == 1
    assert lowest[1].removesuffix(".0") == floors.pop()
