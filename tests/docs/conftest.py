"""
Which commands and snippets do the README and the documentation have, and how are they run?

A page is a session: its blocks run in order, in one directory, and what a block leaves running runs until the page
ends, or until its UDP port is wanted again.  Comments above a block, which no reader of the built pages sees, say what
the block alone cannot:

  - C{.. not run: REASON}: one of few reasons, and nothing else;
  - C{.. until: PATTERN}: it stays in the background once it has printed such a line;
  - C{.. prints: PATTERN}: its output, or what it prints from then on, has such a line;
  - C{.. given: NAME}: Python that stands for C{# SNIPPET} in C{tests/docs/given/NAME.py};
  - C{.. and then: COMMAND}: runs after it, and must succeed;
  - C{.. compared}: a block of text that the block before it has printed, but for numbers.
"""

from __future__ import annotations

import ast
import configparser
import functools
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive, directives, roles

from twisted_utp.qlog import QlogTracer
from twisted_utp.testing import Pair

CHECKOUT = Path(__file__).resolve().parent.parent.parent
GIVEN = Path(__file__).resolve().parent / "given"
PAGES = [
    "README.rst",
    "CHANGELOG.rst",
    *sorted(path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "docs").rglob("*.rst")),
]
DEADLINE = 30.0

MARKS = ("not run", "until", "prints", "given", "and then", "compared")

# What a block without a language is taken for.
COMMANDS = re.compile(
    r"(?:\$ )?(?:sudo )?(?:(?:venv/bin/)?(?:pip3?|python3?|twistd?|trial|pytest|ucat|ruff|mypy|tox|sphinx-build|nice)"
    r"|git|ssh|rsync|restic|openssl|curl|npm|apt-get|cat|printf|cmp|sh|bash|source|export|[A-Z_]+=\S+)\s"
)

# Where a block begins that can be run.
RUNNABLE = re.compile(r"\.\. code-block:: (sh|bash|console|shell|python)")

# Which commands stay in the background by themselves, and what they print when they are ready.
SERVERS = {
    re.compile(r"(^|[/ ])twistd? "): "Starting factory|listening on|Starting protocol",
    re.compile(r"(^|[/ ])ucat (.* )?-l "): "listening on",
}
LISTENING = re.compile(r"(?:-l|--listen)[ =](?:\w+:)?(\d+)")
PORT_NUMBER = re.compile(r"\b\d{4,5}\b")
INSTALLING = re.compile(r"^\(?(cd \S+|python3 -m venv \S+|(\S+/)?(python3? -m )?pip install .*|npm install\)?)$")
USAGE = re.compile(r"\s\[[-A-Z]")
PORTS = re.compile(r"(?<![\w.-])(9000|9001|9100|8080|8081|8443|2222|6881|3000)(?![\w.]*\w)")
ELSEWHERE = re.compile(r"\b(192\.0\.2\.\d+|(backup|rendezvous)\.example)\b")


@dataclass
class Block:
    """
    A literal block of a page.

    @ivar line: where it is, more or less.
    @ivar marks: the comments above it.
    """

    page: str
    line: int
    language: str
    text: str
    caption: str
    marks: list[tuple[str, str]] = field(default_factory=list)

    @property
    def where(self) -> str:
        """
        For messages.
        """
        return f"{self.page}:{self.line}"

    def marked(self, name: str) -> list[str]:
        """
        What the comments of that name say.
        """
        return [said for mark, said in self.marks if mark == name]

    @property
    def kind(self) -> str:
        """
        C{sh}, C{python}, or another language that nobody can run.
        """
        if self.language in ("sh", "bash", "console", "shell"):
            return "sh"
        if self.language not in ("", "text"):
            return self.language
        if any(COMMANDS.match(line) for line in self.text.splitlines()):
            return "sh"
        return "python" if _is_python(self.text) else "text"


def _is_python(text: str) -> bool:
    """
    Does it do something in Python?  A word or an object of JSON is an expression, but does nothing.
    """
    try:
        tree = compile(text, "block", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError:
        return False
    doing = (ast.Import, ast.ImportFrom, ast.Assign, ast.Call, ast.Await, ast.FunctionDef, ast.ClassDef)
    return any(isinstance(node, doing) for node in ast.walk(tree))


class CodeBlock(Directive):
    """
    Sphinx's C{code-block}, as far as we use it.
    """

    optional_arguments = 1
    option_spec = {"caption": directives.unchanged}
    has_content = True

    def run(self) -> list[nodes.Node]:
        """
        A literal block.
        """
        block = nodes.literal_block("\n".join(self.content), "\n".join(self.content))
        block["language"] = self.arguments[0] if self.arguments else "text"
        block["caption"] = self.options.get("caption", "")
        block.line = self.content_offset + 1
        return [block]


class Ignored(Directive):
    """
    What only Sphinx knows.
    """

    optional_arguments = 9
    final_argument_whitespace = True
    option_spec = dict.fromkeys(
        ("caption", "language", "maxdepth", "start-at", "end-at", "dedent"), directives.unchanged
    )
    has_content = True

    def run(self) -> list[nodes.Node]:
        """
        Nothing.
        """
        return []


directives.register_directive("code-block", CodeBlock)
directives.register_directive("toctree", Ignored)
directives.register_directive("include", Ignored)
directives.register_directive("literalinclude", Ignored)


def _unknown_role(name: str, raw: str, text: str, *rest: Any, **more: Any) -> Any:
    return [nodes.literal(raw, text)], []


for _role in ("doc", "ref"):
    roles.register_local_role(_role, _unknown_role)


@functools.cache
def parse(page: str) -> nodes.document:
    """
    The page; anything that docutils would warn about is an error.
    """
    settings = {"report_level": 2, "halt_level": 2, "file_insertion_enabled": False, "input_encoding": "utf-8"}
    text = (CHECKOUT / page).read_text("utf-8")
    return publish_doctree(text, source_path=page, settings_overrides=settings)


@functools.cache
def blocks_of(page: str) -> list[Block]:
    """
    All literal blocks of a page.
    """
    found = []
    for node in parse(page).findall(nodes.literal_block):
        block = Block(page, node.line or 0, node.get("language", ""), node.astext(), node.get("caption", ""))
        siblings = node.parent.children
        for above in reversed(siblings[: siblings.index(node)]):
            if not isinstance(above, nodes.comment):
                break
            name, _, said = above.astext().partition(":")
            assert name in MARKS, f"{block.where}: .. {name}: is none of {', '.join(MARKS)}"
            block.marks.insert(0, (name, said.strip()))
        found.append(block)
    return found


class Running:
    """
    A command of a page, with its children, in a process group of its own.
    """

    def __init__(self, command: str, cwd: Path, environment: dict[str, str]) -> None:
        self.command = command
        self.output: list[str] = []
        self.ports: set[str] = set()
        self._changed = threading.Condition()
        self._is_complete = False
        self._process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.output.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._is_complete = True
            self._changed.notify_all()

    def has_line(self, pattern: str) -> bool:
        """
        Has it printed such a line?
        """
        return any(re.search(pattern, line) for line in self.output)

    def wait_for_line(self, pattern: str) -> None:
        """
        Wait until it has printed such a line.
        """

        def known() -> bool:
            return self._is_complete or self.has_line(pattern)

        with self._changed:
            assert self._changed.wait_for(known, DEADLINE), self.account(f"printed no {pattern!r}")
            found = self.has_line(pattern)
        assert found, self.account(f"ended before it printed {pattern!r}")

    def wait(self) -> None:
        """
        Wait for its end, which must be a good one.
        """
        try:
            code = self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.account("does not end")) from None
        self._reader.join(DEADLINE)
        assert code == 0, self.account(f"exited with {code}")

    @property
    def ended(self) -> bool:
        """
        Is it over?
        """
        return self._process.poll() is not None

    def stop(self) -> None:
        """
        End it, with all its children.
        """
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(DEADLINE)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def account(self, what: str) -> str:
        """
        For messages.
        """
        output = "\n".join(self.output[-40:])
        return f"{self.command}\n{what}; its output:\n{output}"


def free_port() -> int:
    """
    A port, UDP and TCP, that nobody has, and that the system gives to nobody who asks for any.
    """
    while True:
        port = random.SystemRandom().randint(12_000, 30_000)
        with (
            closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp,
            closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as tcp,
            suppress(OSError),
        ):
            udp.bind(("", port))
            tcp.bind(("", port))
            return port


class Session:
    """
    Runs the blocks of a page.
    """

    def __init__(self, folder: Path, ssh_port: int) -> None:
        self.folder = folder
        self.last: Running | None = None
        self._background: list[Running] = []
        self._of_block: list[Running] = []
        self._ports: dict[str, str] = {}
        self._ssh_port = ssh_port
        self._programs = 0
        binaries = Path(sys.executable).parent
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TWISTED_UTP_TRACE")},
            "HOME": str(folder),
            "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "ignore",
        }

    def run(self, block: Block) -> None:
        """
        Run one block.
        """
        if block.marked("not run"):
            return
        self._of_block = []
        if block.kind == "sh":
            self._run_shell(block)
        elif block.kind == "python":
            self._run_python(block)
        elif block.marks:
            self._compare(block)
        for pattern in block.marked("prints"):
            printing = [one for one in self._of_block if one.has_line(pattern)]
            (printing or self._of_block)[0].wait_for_line(pattern)
        for command in block.marked("and then"):
            self._run_command(self._here(command), None)

    def close(self) -> None:
        """
        Nothing of it goes on.
        """
        for running in self._background:
            running.stop()
        self._background.clear()

    # --- The shell ----------------------------------------------------------------------------------------------

    def _run_shell(self, block: Block) -> None:
        until = (block.marked("until") or [None])[0]
        for command in self.commands(block):
            if USAGE.search(command):
                self._check_usage(command)
            else:
                self._run_command(self._here(command), until)

    @staticmethod
    def commands(block: Block) -> list[str]:
        """
        The commands of a block, without what only installs something.
        """
        found = []
        for line in re.sub(r"\\\n\s*", "", block.text).splitlines():
            command = re.sub(r"\s+# .*|^# .*", "", line).strip()
            parts = [part for part in command.split(" && ") if not INSTALLING.match(part.strip())]
            if parts and parts[0]:
                found.append(" && ".join(parts))
        return found

    def _check_usage(self, command: str) -> None:
        """
        C{program [--option X] [NAME]} is not a command, but says what options there are.
        """
        program = self._here(USAGE.split(command)[0])
        running = self._start(f"{program} --help")
        running.wait()
        text = "\n".join(running.output)
        for option in re.findall(r"\[(--?[\w-]+)", command):
            assert re.search(rf"(^|[\s,\[]){option}\b", text), running.account(f"has no {option}")
        running.stop()

    def _here(self, text: str) -> str:
        """
        The same for this machine: other ports, and no other machines.
        """
        text = ELSEWHERE.sub("127.0.0.1", text)
        text = text.replace("tcp:localhost:22", f"tcp:127.0.0.1:{self._ssh_port}")
        return PORTS.sub(lambda found: self._ports.setdefault(found[0], str(free_port())), text)

    def _run_command(self, command: str, until: str | None, ports: frozenset[str] = frozenset()) -> None:
        ready = until
        for pattern, printed in SERVERS.items():
            if ready is None and pattern.search(command):
                ready = printed
        command = re.sub(r"(^|[/ ])ucat (?=(.* )?-l )", r"\1ucat -v ", command)
        listening = ports | set(LISTENING.findall(command))
        self._make_room(listening)
        self.last = self._start(command)
        self.last.ports = listening
        self._background.append(self.last)
        self._of_block.append(self.last)
        if ready is None:
            self.last.wait()
        else:
            self.last.wait_for_line(ready)

    def _make_room(self, wanted: set[str]) -> None:
        """
        End what listens on one of these ports.  A ucat that serves one connection ends by itself, and well.
        """
        for running in self._background:
            if not running.ended and wanted & running.ports:
                if "ucat" in running.command and " -k" not in running.command:
                    running.wait()
                else:
                    running.stop()

    def _start(self, command: str) -> Running:
        return Running(command, self.folder, self.environment)

    # --- Python -------------------------------------------------------------------------------------------------

    def _run_python(self, block: Block) -> None:
        text = self._here(block.text)
        given = block.marked("given")
        if given:
            text = self._complete(given[0], text)
        self._programs += 1
        program = self.folder / (block.caption or f"snippet{self._programs}.py")
        program.write_text(text, "utf-8")
        if block.caption:
            return  # a command that comes later runs it
        command = f"{shlex.quote(sys.executable)} {shlex.quote(str(GIVEN / 'logged.py'))} {program.name}"
        ports = frozenset(PORT_NUMBER.findall(text)) if "listen" in text else frozenset()
        self._run_command(command, (block.marked("until") or [None])[0], ports)

    def _complete(self, given: str, snippet: str) -> str:
        frame = self._here((GIVEN / f"{given}.py").read_text("utf-8"))
        found = re.search(r"^( *)# SNIPPET\n", frame, re.MULTILINE)
        assert found is not None, f"{given}.py: no # SNIPPET"
        return frame[: found.start()] + textwrap.indent(snippet, found[1]) + "\n" + frame[found.end() :]

    # --- Text ---------------------------------------------------------------------------------------------------

    def _compare(self, block: Block) -> None:
        """
        Each line was printed, in this order, if numbers do not matter.
        """
        assert self.last is not None, f"{block.where}: nothing has run yet"
        for line in block.text.splitlines():
            pattern = re.sub(r"[0-9a-f]{32,}", "[0-9a-f]+", re.escape(line.strip()))
            pattern = re.sub(r"(?<![-\[\w])\d+(?:\\\.\d+)*", r"[\\d.]+", pattern)
            self.last.wait_for_line(rf"^\s*{pattern}\s*$")


def ssh_server() -> socket.socket:
    """
    Something that says what an SSH server says first.
    """
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"SSH-2.0-nobody\r\n")

    threading.Thread(target=serve, daemon=True).start()
    return server


def make_trace(folder: Path) -> None:
    """
    A small trace, in virtual time.
    """
    tracer = QlogTracer(str(folder), epoch=lambda: 0)
    pair = Pair(tracer=tracer, log=False)
    pair.transfer(pair.connect(), 100_000)
    tracer.close()


@pytest.fixture(scope="session")
def credentials() -> dict[str, bytes]:
    """
    C{server.pem} and C{server.crt}, as docs/tls.rst makes them.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    certificate = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    encoded = certificate.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"server.pem": private + encoded, "server.crt": encoded}


@pytest.fixture
def session(tmp_path: Path, credentials: dict[str, bytes]) -> Iterator[Session]:
    """
    A session in a folder that has what the pages speak of.
    """
    for name in ("README.rst", "benchmarks", "examples", "tests", "twisted_utp"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    shutil.copytree(CHECKOUT / "docs", tmp_path / "docs")
    (tmp_path / "venv").symlink_to(Path(sys.executable).parent.parent)
    (tmp_path / "file").write_bytes(bytes(range(256)) * 4000)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"photo" * 1000)
    for name, content in credentials.items():
        (tmp_path / name).write_bytes(content)
    make_trace(tmp_path / "DIRECTORY")
    with closing(ssh_server()) as server:
        session = Session(tmp_path, server.getsockname()[1])
        yield session
        session.close()


@pytest.fixture
def run_page(session: Session) -> Callable[[str], None]:
    """
    Runs the blocks of a page.
    """

    def run(page: str) -> None:
        for block in blocks_of(page):
            try:
                session.run(block)
            except AssertionError as error:
                raise AssertionError(f"{block.where}\n{error}") from None

    return run


def has_something_to_run(page: str) -> bool:
    """
    Has it commands or snippets?  Every worker that collects tests asks this of every page, so it looks at lines:
    docutils takes a fifth of a second for a page.  C{test_every_block_is_run_or_says_why_not} checks the answer.
    """
    lines = [line.strip() for line in (CHECKOUT / page).read_text("utf-8").splitlines() if line.strip()]
    pairs = zip(["", *lines], lines, strict=False)
    return any(RUNNABLE.fullmatch(line) and not above.startswith(".. not run:") for above, line in pairs)


@pytest.fixture(scope="session")
def extras() -> set[str]:
    """
    The extras of setup.cfg.
    """
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    return set(setup["options.extras_require"])


@pytest.fixture
def tree(page: str) -> nodes.document:
    """
    A page, parsed.
    """
    return parse(page)


@pytest.fixture
def is_run(page: str) -> bool:
    """
    Is the page taken for one that has something to run?
    """
    return has_something_to_run(page)


@pytest.fixture
def blocks(page: str) -> list[Block]:
    """
    All literal blocks of a page.
    """
    return blocks_of(page)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """
    A test that takes a page of some kind is run for each of them.
    """
    to_follow = re.compile("README|tutorial|howto/")
    kinds: dict[str, Callable[[str], object]] = {
        "page": lambda page: True,
        "howto_page": to_follow.search,
        "reference_page": lambda page: not to_follow.search(page) and has_something_to_run(page),
    }
    for name, belongs in kinds.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, [page for page in PAGES if belongs(page)])
