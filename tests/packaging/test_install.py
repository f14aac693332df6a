"""
Is a release built as it should be, and does it give Twisted its C{utp:} endpoints, however it is installed?

Everything here runs in fresh virtual environments, from another directory and without the checkout on sys.path: what
works only in the source tree fails (architecture notes: automatic package discovery skips C{twisted/plugins}, and
setuptools' import hooks hide it from Twisted in editable installs).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

CHECKOUT = Path(__file__).resolve().parents[2]

# -P (3.11) and -I keep the working directory off sys.path; -I also drops PYTHON* variables.
ISOLATED = "-P" if sys.version_info >= (3, 11) else "-I"
PLUGINS = ["", "_forward", "_hints", "_tls"]
SERVERS = ["utp:0", "utp6:0", "UTP:0", "utp:0:interface=127.0.0.1", "haproxy:utp:0"]
CLIENTS = [
    "utp:localhost:1",
    r"utp:host=\:\:1:port=1",
    r"tls:localhost:443:endpoint=utp\:127.0.0.1\:1",
    "utps:localhost:1",
]


def run(*argv: str | Path, timeout: float = 300, cwd: str | Path = "/", **variables: str) -> str:
    """
    Run a program that must succeed; its output.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV_"))}
    environment |= variables
    words = [str(word) for word in argv]
    ran = subprocess.run(
        words, cwd=cwd, env=environment, timeout=timeout, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert ran.returncode == 0, f"{' '.join(words)} exited with {ran.returncode}:\n{ran.stdout[-3000:]}"
    return ran.stdout


class Environment:
    """
    A virtual environment with something installed.
    """

    def __init__(self, folder: Path) -> None:
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.bin / "python"
        run(sys.executable, "-m", "venv", "--without-pip", folder)

    def pip(self, *arguments: str | Path) -> str:
        """
        The pip of the tests' own Python, working on this environment.
        """
        # What is imported compiles itself; most of Twisted is not.
        compiling = ["--no-compile"] if arguments[0] == "install" else []
        return run(sys.executable, "-m", "pip", "--python", self.python, *arguments, *compiling)

    def probe(self, code: str) -> str:
        """
        Run a few statements from the root directory, with nothing on sys.path but what is installed.
        """
        return run(self.python, ISOLATED, "-W", "error::UserWarning", "-c", code)

    def plugin_caches(self) -> list[Path]:
        """
        Twisted's plugin caches in this environment.
        """
        return list(self.bin.parent.rglob("dropin.cache"))


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    """
    A copy of the checkout: building leaves nothing in the real one, and nothing stale in it is built.
    """
    copy = tmp_path_factory.mktemp("source") / "twisted-utp"
    ignored = shutil.ignore_patterns(
        ".git",
        ".venv",
        "venv",
        "node_modules",
        "__pycache__",
        ".*_cache",
        "build",
        "dist",
        "*.egg-info",
        "dropin.cache",
    )
    shutil.copytree(CHECKOUT, copy, ignore=ignored)
    return copy


def build(source: Path, folder: Path) -> Path:
    """
    Build what would be uploaded.
    """
    run(sys.executable, source / ".ci" / "build.py", folder, SOURCE_DATE_EPOCH="1700000000")
    return folder


@pytest.fixture(scope="session")
def distributions(tmp_path_factory, source) -> Path:
    """
    A folder with an sdist, and the wheel that was built from the sdist.
    """
    return build(source, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def wheel(distributions) -> Path:
    """
    The wheel.
    """
    (found,) = distributions.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def sdist(distributions) -> Path:
    """
    The source distribution.
    """
    (found,) = distributions.glob("*.tar.gz")
    return found


@pytest.fixture(scope="session")
def from_wheel(tmp_path_factory, wheel) -> Environment:
    """
    C{pip install twisted-utp[tls]}, as from an index.
    """
    environment = Environment(tmp_path_factory.mktemp("from_wheel"))
    environment.pip("install", f"{wheel}[tls]")
    return environment


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory, sdist) -> Path:
    """
    The sdist, unpacked.
    """
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / sdist.name.removesuffix(".tar.gz")


@pytest.fixture(scope="session")
def from_folder(tmp_path_factory, unpacked) -> Environment:
    """
    C{pip install .[tls]}, in an sdist.
    """
    environment = Environment(tmp_path_factory.mktemp("from_folder"))
    environment.pip("install", f"{unpacked}[tls]", "pytest", "hypothesis")
    return environment


@pytest.fixture(scope="session")
def editable(tmp_path_factory, source) -> Environment:
    """
    C{pip install -e .[tls]}.
    """
    environment = Environment(tmp_path_factory.mktemp("editable"))
    environment.pip("install", "-e", f"{source}[tls]")
    return environment


@pytest.fixture(scope="session", params=["from_wheel", "from_folder", "editable"])
def installed(request) -> Environment:
    """
    Each way to install it.
    """
    environment: Environment = request.getfixturevalue(request.param)
    return environment


def test_wheel_contents(wheel):
    """
    The wheel holds the package, the plugin files, and nothing that belongs to Twisted or to the tests.
    """
    names = zipfile.ZipFile(wheel).namelist()
    outside = {name for name in names if not name.startswith("twisted_utp/") and ".dist-info/" not in name}
    assert outside == {f"twisted/plugins/twisted_utp{part}_plugin.py" for part in PLUGINS}
    assert "twisted_utp/py.typed" in names
    assert "twisted_utp/proto/multiplexer.py" in names


def test_sdist_contents(sdist):
    """
    The sdist holds what a distributor needs: the tests, the examples and the licence.
    """
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"tests/conftest.py", "tests/interop/libutp_peer/exchange.js", "examples/service.tac", "LICENSE"}
    wanted |= {"examples/bittorrent/wire.py", "benchmarks/run.py", "CHANGELOG.rst", "README.rst"}
    assert wanted <= names
    assert not [name for name in names if "node_modules" in name or name.endswith(("dropin.cache", ".pyc"))]


def test_sdist_is_complete(source, unpacked):
    """
    What the documentation tells one to run is there: all that is in the repository, but for a file of git's.
    """

    def files(folder: Path) -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    if (CHECKOUT / ".git").exists():
        tracked = set(run("git", "ls-files", "-z", cwd=CHECKOUT).split("\0")) - {""}
        assert tracked & files(source) - files(unpacked) == {".gitignore"}
    else:
        assert files(CHECKOUT) >= files(unpacked)


def test_tests_run_from_the_sdist(from_folder, unpacked):
    """
    Who packages it for a distribution can test it.
    """
    parts = ["tests/proto/test_packet.py", "tests/glue/test_endpoints.py", "tests/udp/test_offload_port.py"]
    said = run(from_folder.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *parts, cwd=unpacked)
    assert re.search(r"^\d{2,} passed", said, re.MULTILINE), said


def test_two_builds_are_the_same(tmp_path, distributions, unpacked):
    """
    Byte for byte, in another folder, from files of another age that others may not read.
    """
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(unpacked, elsewhere)
    for path in elsewhere.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o077)
        os.utime(path, (1_600_000_000, 1_600_000_000))
    again = build(elsewhere, tmp_path / "again")
    assert len(list(distributions.iterdir())) == 2
    for path in distributions.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.fixture(scope="session")
def parsed(installed) -> dict[str, str]:
    """
    What Twisted makes of each of our strings: the endpoint, or the error.  One program for all of them.
    """
    code = f"""if True:
        import json
        from twisted.internet import endpoints, reactor
        outcomes = {{}}
        for parse, strings in ((endpoints.serverFromString, {SERVERS}), (endpoints.clientFromString, {CLIENTS})):
            for string in strings:
                try:
                    outcomes[string] = str(parse(reactor, string))
                except Exception as error:
                    outcomes[string] = f"{{type(error).__name__}}: {{error}}"
        print(json.dumps(outcomes))
    """
    outcomes: dict[str, str] = json.loads(installed.probe(code))
    return outcomes


@pytest.mark.parametrize("string", SERVERS)
def test_server_string(parsed, string):
    """
    Twisted parses our server strings, also inside another parser's.
    """
    assert re.match("<.*Endpoint", parsed[string]), parsed[string]


@pytest.mark.parametrize("string", CLIENTS)
def test_client_string(parsed, string):
    """
    Twisted parses our client strings, also as the transport of its own TLS endpoint.
    """
    assert re.match("<.*Endpoint", parsed[string]), parsed[string]


@pytest.mark.parametrize("part", PLUGINS)
def test_plugin_loads_nothing_heavy(installed, part):
    """
    Importing a plugin installs no reactor and loads no core: every C{twist} does it on a cold cache.
    """
    heavy = ["twisted_utp.proto", "twisted_utp.udp", "twisted_utp.protocol", "OpenSSL"]
    if part != "_forward":
        heavy.append("asyncio")  # which twisted.application.service loads, and with it every program for twist
    code = f"import sys, twisted.plugins.twisted_utp{part}_plugin; "
    code += "print([name for name in sys.modules if name == 'twisted.internet.reactor' "
    code += f"or name.startswith({tuple(heavy)})])"
    assert installed.probe(code).strip() == "[]"


def test_interface_is_declared(installed):
    """
    The plugin's objects provide what Twisted looks for.
    """
    code = "from twisted.plugin import getPlugins; from zope.interface.verify import verifyObject; "
    code += "from twisted.internet.interfaces import IStreamServerEndpointStringParser as Server; "
    code += "from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor as Client; "
    code += "print(sorted((I.__name__[7:13], p.prefix, verifyObject(I, p)) for I in (Server, Client) "
    code += "for p in getPlugins(I) if p.prefix.startswith('utp')))"
    wanted = [("Client", "utp", True), ("Client", "utp6", True), ("Client", "utps", True)]
    wanted += [("Server", "utp", True), ("Server", "utp6", True), ("Server", "utps", True)]
    assert installed.probe(code).strip() == str(wanted)


def test_choice_of_reactor_on_a_cold_cache(installed, start, tmp_path):
    """
    C{twist --reactor=poll} works when the plugin cache must be built first: no plugin has installed a reactor.
    """
    for cache in installed.plugin_caches():
        cache.unlink()
    listen = "utp:0:interface=127.0.0.1"
    server = start(installed.bin / "twist", "--reactor=poll", "web", "--listen", listen, "--path", tmp_path, cwd="/")
    server.wait_for_line("Starting factory")
    for cache in installed.plugin_caches():
        cache.unlink()
    options = ["-n", "--reactor=poll", "--pidfile="]
    daemon = start(installed.bin / "twistd", *options, "web", "--listen", listen, "--path", tmp_path, cwd=tmp_path)
    daemon.wait_for_line(r"reactor class: twisted\.internet\.pollreactor\.PollReactor")
    daemon.wait_for_line("Starting factory")


def test_port_in_use(installed, start, tmp_path):
    """
    A port that another program has ends C{twist} with exit code 1 and one line that says why.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        listen = f"utp:{port}:interface=127.0.0.1"
        server = start(installed.bin / "twist", "web", "--listen", listen, "--path", tmp_path, cwd="/")
        server.wait_for_exit(code=1)
    reasons = [line for line in server.output if re.search(rf"{port}.*in use", line)]
    assert len(reasons) == 1, server.output


def test_tools(installed):
    """
    The programs are there: ucat, and utp-forward for twist.
    """
    assert run(installed.bin / "ucat", "-V").startswith("ucat ")
    assert run(installed.python, ISOLATED, "-m", "twisted_utp.ucat", "-V").startswith("ucat ")
    assert "--connect" in run(installed.bin / "twist", "utp-forward", "--help")


def test_uninstall_leaves_twisted(tmp_path, from_wheel):
    """
    Uninstalling takes the plugin away and leaves Twisted and its own plugins.
    """
    # What is in the copy only: installing Twisted once more takes longer.
    environment = Environment(tmp_path / "environment")
    shutil.copytree(from_wheel.bin.parent / "lib", tmp_path / "environment" / "lib", dirs_exist_ok=True)
    assert environment.probe("import twisted_utp; print(twisted_utp.__file__)").startswith(str(tmp_path))
    environment.pip("uninstall", "-y", "twisted-utp")
    code = "from twisted.internet import endpoints, reactor; endpoints.serverFromString(reactor, 'tcp6:0'); "
    code += "import importlib.util as u; print(u.find_spec('twisted_utp'))"
    assert environment.probe(code).strip() == "None"


def test_version(installed, checkout):
    """
    The version is the one in the source, read by setuptools without importing it.
    """
    source = (checkout / "twisted_utp" / "__init__.py").read_text()
    version = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    assert version is not None
    code = "import importlib.metadata as m, twisted_utp; print(m.version('twisted-utp'), twisted_utp.__version__)"
    assert installed.probe(code).split() == [version[1]] * 2
