"""No line of the package reads a pickle, but one: found by its syntax, not by running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("hashbench", "attacks", "defenses", "reports", "benchmarks")

PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
READERS = {
    "pandas.read_pickle",
    "torch.hub.load",
    "torch.export.load",
    "torch.jit.load",
    "torch.package.PackageImporter",
}

PROGRAMS = ROOT / "hashbench/hashing/programs/torch_programs.py"
"""Loads programs, which SECURITY.md counts among what is trusted, after their pickles were looked
at: `tests/runner/test_programs.py` has them refused."""

TRUSTED = ROOT / "hashbench/zoo/trusted.py"
"""Unpickles one file, where a user says --trust-pickle; `tests/runner/test_trust_pickle.py`."""

MAY = {
    PROGRAMS: ["torch.jit.load", "torch.export.load"],
    TRUSTED: ["torch.load without weights_only=True"],
}


def dotted(node: ast.expr) -> str:
    """`torch.load` of the syntax tree of `torch.load`; empty for anything that is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := dotted(node.value)):
        return f"{base}.{node.attr}"
    return ""


def aliases(tree: ast.AST) -> dict[str, str]:
    """Local name -> full name, of everything that is imported."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.asname:
                    names[name.asname] = name.name
                else:
                    root = name.name.partition(".")[0]
                    names[root] = root
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in node.names:
                names[name.asname or name.name] = f"{node.module}.{name.name}"
    return names


def says(call: ast.Call, keyword: str, value: bool) -> bool:
    return any(
        given.arg == keyword
        and isinstance(given.value, ast.Constant)
        and given.value.value is value
        for given in call.keywords
    )


def offences(source: str) -> Iterator[str]:
    """Everything in a source text that reads, or could be made to read, a pickle."""
    tree = ast.parse(source)
    known = aliases(tree)
    for full in known.values():
        if full.partition(".")[0] in PICKLES:
            yield f"imports {full}"
        if full == "torch.load":
            yield "imports torch.load by name"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        head, _, rest = dotted(node.func).partition(".")
        full = known.get(head, head) + (f".{rest}" if rest else "")
        if full == "torch.load" and not says(node, "weights_only", True):
            yield f"line {node.lineno}: torch.load without weights_only=True"
        if full in READERS or full.endswith(".read_pickle"):
            yield f"line {node.lineno}: {full}"
        pickled = any(given.arg == "allow_pickle" for given in node.keywords)
        if pickled and not says(node, "allow_pickle", False):
            yield f"line {node.lineno}: allow_pickle"


def sources() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_of_the_package_reads_a_pickle(path: Path) -> None:
    found = [offence.partition(": ")[2] for offence in offences(path.read_text())]
    assert found == MAY.get(path, [])


def test_only_the_import_of_a_model_reaches_what_unpickles() -> None:
    named = [path for path in sources() if "zoo.trusted" in path.read_text()]
    assert named == [ROOT / "hashbench/zoo/importing.py"]


def test_the_search_covers_the_package() -> None:
    found = {str(path.relative_to(ROOT)) for path in sources()}
    assert {"hashbench/hashing/checkpoint.py", "attacks/hag.py", "defenses/cgat.py"} <= found


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load('x')",
        "import torch\ntorch.load('x', weights_only=False)",
        "import torch\nflag = True\ntorch.load('x', weights_only=flag)",
        "import torch as t\nt.load('x', map_location='cpu')",
        "from torch import load\nload('x')",
        "import torch.nn\ntorch.load('x')",
        "import torch\ntorch.hub.load('a/b', 'c')",
        "import torch\ntorch.export.load('x')",
        "import torch\ntorch.jit.load('x')",
        "import pickle",
        "from pickle import loads as parse",
        "import joblib\njoblib.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import pandas as pd\npd.read_pickle('x')",
    ],
)
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert list(offences(source))


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load('x', weights_only=True)",
        "import json\njson.load(open('x'))",
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "from safetensors.torch import load_file\nload_file('x')",
    ],
)
def test_the_search_leaves_the_rest_alone(source: str) -> None:
    assert not list(offences(source))
