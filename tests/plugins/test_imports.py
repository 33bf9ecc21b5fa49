"""What is imported when: listing options and plugins' names must not wait for torch."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., subprocess.CompletedProcess[str]]

HEAVY = ("torch", "numpy", "pandas", "scipy", "matplotlib", "safetensors")


def modules_after(call: Call, code: str) -> set[str]:
    """The heavy modules that are loaded after some code ran in a fresh interpreter."""
    ask = f"import json, sys; print('\\n' + json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = call("-c", f"{code}\n{ask}")
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import hashbench; dir(hashbench)",
        "import hashbench.plugins",
        "import hashbench; hashbench.plugins.attack; hashbench.Eps.parse('8/255')",
        "import hashbench.errors, hashbench.eps, hashbench.seeds, hashbench.progress",
        "from hashbench import atomic; from hashbench.runner import suite; suite.quick()",
        "import hashbench.cli.app",
    ],
)
def test_light_parts_stay_light(call: Call, code: str) -> None:
    assert modules_after(call, code) == set()


def test_help_does_not_import_torch(call: Call) -> None:
    code = (
        "import sys\n"
        "from hashbench.cli.app import main\n"
        "for words in (['--help'], ['run', '--help'], ['report', '--help']):\n"
        "    sys.argv = ['hashbench', *words]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as end:\n"
        "        assert not end.code\n"
    )
    assert modules_after(call, code) == set()


@pytest.mark.parametrize("kind", ["dataset", "format"])
def test_a_plugin_file_that_needs_no_torch_does_not_load_it(
    call: Call, tmp_path: Path, kind: str
) -> None:
    """Declaring a data set or a format costs numpy at most; other kinds speak of tensors."""
    path = tmp_path / "light.py"
    path.write_text(
        "from dataclasses import dataclass\n"
        f"from hashbench.plugins import {kind.capitalize()}, {kind}\n"
        f"@{kind}('light')\n"
        "@dataclass(frozen=True)\n"
        f"class Light({kind.capitalize()}):\n"
        "    def load(self, root):\n"
        "        return None\n"
        "    def render(self, results, *, width=None):\n"
        "        return ''\n"
    )
    code = (
        "from pathlib import Path\n"
        "from hashbench.plugins import Kind\n"
        "from hashbench.plugins.discovery import add_file\n"
        "from hashbench.plugins.registered import Registry\n"
        "registry = Registry()\n"
        f"add_file(registry, Path({str(path)!r}))\n"
        f"assert registry.names(Kind({kind!r})) == ('light',)"
    )
    assert modules_after(call, code) <= {"numpy"}


def test_results_need_numpy_alone(call: Call) -> None:
    assert modules_after(call, "import hashbench; hashbench.load_results") == {"numpy"}


def test_every_public_name_is_there(call: Call) -> None:
    code = (
        "import hashbench\n"
        "for name in hashbench.__all__:\n"
        "    assert getattr(hashbench, name) is not None\n"
        "try:\n"
        "    hashbench.nothing\n"
        "except AttributeError as error:\n"
        "    assert 'nothing' in str(error)\n"
        "else:\n"
        "    raise AssertionError\n"
    )
    assert call("-c", code).returncode == 0
