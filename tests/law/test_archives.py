"""No code of ours unpacks an archive: names in it would be paths that somebody else wrote."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


ROOMS = ("hashbench", "attacks", "defenses", "reports", "benchmarks")
UNPACKERS = {"extract", "extractall", "unpack_archive"}
"""They write files under names that an archive holds."""

ARCHIVES = {"tarfile", "zipfile", "zipimport"}
MAY = {"hashbench/results/arrays.py", "hashbench/retrieval/tally_file.py"}
"""They read and write `.npz` in memory. torch's own archives are read by
`hashbench/hashing/weights/archive.py`, which needs neither module."""


def offences(source: str) -> Iterator[str]:
    """Everything in a source text that unpacks an archive, or could."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                for name in names:
                    if name.name.partition(".")[0] in ARCHIVES:
                        yield f"imports {name.name}"
            case ast.ImportFrom(module=str(module), names=names):
                if module.partition(".")[0] in ARCHIVES:
                    yield f"imports {module}"
                for name in names:
                    if name.name in UNPACKERS:
                        yield f"imports {name.name}"
            case ast.Attribute(attr=name) if name in UNPACKERS:
                yield f"says .{name}"
            case ast.Constant(value=str(text)) if text in UNPACKERS | ARCHIVES:
                yield f"says '{text}'"  # as getattr and import_module are told
            case _:
                pass


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_unpacks_an_archive(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        found = set(offences(path.read_text(encoding="utf-8")))
        if str(path.relative_to(ROOT)) in MAY:
            found -= {"imports zipfile"}
        assert not found, f"{path}: {found}"


def test_who_may_read_zip_reads_bytes() -> None:
    """What is no file of the disk when it is read is none that a name in it could lead to."""
    for place in MAY:
        tree = ast.parse((ROOT / place).read_text(encoding="utf-8"))
        calls = [
            ast.unparse(node.args[0])
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "zipfile.ZipFile"
        ]
        assert calls
        assert set(calls) <= {"io.BytesIO(content)", "buffer"}


@pytest.mark.parametrize(
    "source",
    [
        "import tarfile\ntarfile.open('x')",
        "import tarfile as t",
        "from tarfile import open as o",
        "import zipfile",
        "from zipfile import ZipFile",
        "from shutil import unpack_archive as u",
        "import shutil\nshutil.unpack_archive('x', 'y')",
        "def f(z): z.extractall('.')",
        "def f(z): return z.extract",
        "def f(z): getattr(z, 'extractall')('.')",
        "import importlib\nimportlib.import_module('tarfile')",
    ],
)
def test_the_law_sees_what_it_forbids(source: str) -> None:
    assert list(offences(source))


@pytest.mark.parametrize("source", ["import io\nio.open('x')", "def f(table): return table.pick()"])
def test_the_law_lets_the_rest_be(source: str) -> None:
    assert not list(offences(source))
