"""
How is a release built, so that everybody who builds it gets the same bytes?

C{python .ci/build.py FOLDER} writes an sdist, and the wheel that is built from it.  Needs C{build}.

C{SOURCE_DATE_EPOCH} is the time of all files in both; without it that is the time of the last commit.  Setuptools heeds
it in wheels.  Its sdists have the times, owners and permissions of the files that it found, so they are packed anew.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXECUTABLE = 0o100


def build(source: Path, kind: str, out: Path) -> Path:
    """
    Run C{python -m build}.

    @param kind: C{sdist} or C{wheel}.
    @return: the one file that it has written.
    """
    out.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "build", f"--{kind}", "--outdir", out, source], check=True, cwd=out)
    (built,) = out.iterdir()
    return built


def repack(sdist: Path, out: Path, when: int) -> None:
    """
    Write it again, with nothing in it that depends on who built it, where and when.
    """
    with (
        tarfile.open(sdist) as old,
        open(out, "wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=when) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.mtime, member.pax_headers = when, {}
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() or member.mode & EXECUTABLE else 0o644
            new.addfile(member, old.extractfile(member) if member.isfile() else None)


def main(folder: str) -> None:
    """
    Both, in that folder, which may not have others of the same name.
    """
    out = Path(folder).resolve()
    out.mkdir(parents=True, exist_ok=True)
    when = os.environ.get("SOURCE_DATE_EPOCH") or subprocess.check_output(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, text=True
    )
    os.environ["SOURCE_DATE_EPOCH"] = when.strip()
    # Others may not write what is built: permissions of the wheel's files are those of these.
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as temporary:
        built = build(ROOT, "sdist", Path(temporary, "sdist"))
        sdist = out / built.name
        repack(built, sdist, int(when))
        with tarfile.open(sdist) as archive:
            archive.extractall(temporary, filter="data")
        wheel = build(Path(temporary, sdist.name.removesuffix(".tar.gz")), "wheel", Path(temporary, "wheel"))
        (out / wheel.name).write_bytes(wheel.read_bytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
