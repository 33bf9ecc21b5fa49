"""mypy and pyright, asked for in the environment that these tests run in, see all of hashbench.

The scripts in `users/` say with `assert_type` what an editor should show: `Any`, or a name that is
not found, would be an error there. They lie in a folder of their own, as a user's do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from support.api_page import faces

HERE = Path(__file__).resolve().parent
README = HERE.parents[1] / "README.md"

MISTAKES = """\
from dataclasses import dataclass
from typing import assert_type
import torch
import hashbench
import hashbench.plugins
from hashbench import Resultss  # wrong
from hashbench.plugins import Attack, Attak, attack  # wrong
from hashbench.attacking import Budget  # wrong
import hashbench.atacks  # wrong
hashbench.plugins.Attak  # wrong
hashbench.rum("quick")  # wrong
hashbench.evaluation  # wrong
hashbench.run("quick", worker=2)  # wrong
hashbench.run("quick", workers="2")  # wrong
hashbench.run("quick").cels  # wrong
hashbench.run("quick").to_csv()  # wrong
assert_type(hashbench.run("quick"), int)  # wrong
hashbench.load_results(3)  # wrong
hashbench.run(defence="cgat")  # wrong
hashbench.run(bits="32")  # wrong
hashbench.evaluate("a net", "fashion")  # wrong
hashbench.evaluate(torch.nn.Flatten(), "fashion", epsilon="8/255")  # wrong
hashbench.run("quick").to_frame()
@attack("mine", acess=None)  # wrong
@dataclass(frozen=True)
class Mine(Attack):
    steps: int = 10
    def perturb(self, model: int) -> None: ...  # wrong
Mine(steps="10")  # wrong
Mine(steps=10)
"""

UNTYPED = """\
from hashbench.plugins import Attack


class Mine(Attack):
    def perturb(self, model, images, goal, threat, rng):
        reveal_type(model)
        reveal_type(images)
        reveal_type(goal)
        reveal_type(threat)
        reveal_type(rng)
        reveal_type(model.outputs(images))
        reveal_type(goal.center_codes)
        return images
"""


@dataclass(frozen=True)
class Said:
    """One thing that a checker said: `error`, or what a note tells."""

    file: str
    line: int
    severity: str
    text: str


def ask(command: Sequence[str], folder: Path) -> str:
    """The output of a checker that could do its work, whatever it found."""
    others = ("PYTHONPATH", "MYPYPATH")  # where else names might be found
    kept = {name: value for name, value in os.environ.items() if name not in others}
    done = subprocess.run(
        [sys.executable, "-P", "-m", *command],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy(folder: Path, *files: str) -> list[Said]:
    """What `mypy --strict` says."""
    options = ["--strict", "--no-pretty", "--no-error-summary"]
    found = re.finditer(
        r"^([^:\n]+):(\d+): (\w+): (.*)$", ask(["mypy", *options, *files], folder), re.MULTILINE
    )
    return [Said(one[1], int(one[2]), one[3], one[4]) for one in found]


def pyright(folder: Path, *files: str) -> list[Said]:
    """What pyright says, which is what VS Code shows; every unknown type is an error to it."""
    (folder / "pyrightconfig.json").write_text(
        json.dumps({"strict": ["plugin.py", "my_attack.py"]})
    )
    options = ["--outputjson", "--pythonpath", sys.executable]  # its JSON asks no server
    report = json.loads(ask(["pyright", *options, *files], folder))
    assert report["summary"]["filesAnalyzed"] == len(files)
    return [
        Said(
            Path(one["file"]).name,
            one["range"]["start"]["line"] + 1,
            one["severity"],
            one["message"],
        )
        for one in report["generalDiagnostics"]
    ]


CHECKERS = {"mypy": mypy, "pyright": pyright}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: the scripts, and README's plugin. mypy keeps its cache there."""
    folder = tmp_path_factory.mktemp("user") / "work"
    shutil.copytree(HERE / "users", folder, ignore=shutil.ignore_patterns("__pycache__"))
    shown = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    session = ""
    for block in shown:
        if named := re.match(r"# (\w+\.py)\n", block):
            (folder / named[1]).write_text(block)
        else:
            session += block
    assert (folder / "my_attack.py").is_file()
    (folder / "session.py").write_text(session)
    # What is missing in other packages is not what is asked here.
    (folder / "mypy.ini").write_text(
        "[mypy]\n[mypy-torchvision.*]\nignore_missing_imports = True\n"
    )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_nothing_is_wrong_with_what_users_write(folder: Path, checker: str) -> None:
    scripts = sorted(path.name for path in folder.glob("*.py"))
    assert len(scripts) >= 5
    assert CHECKERS[checker](folder, *scripts) == []


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_what_is_misspelt_or_of_another_type_is_an_error(folder: Path, checker: str) -> None:
    (folder / "mistakes.py").write_text(MISTAKES)
    try:
        said = CHECKERS[checker](folder, "mistakes.py")
    finally:
        (folder / "mistakes.py").unlink()
    wrong = {
        number for number, line in enumerate(MISTAKES.splitlines(), 1) if line.endswith("# wrong")
    }
    assert {one.line for one in said if one.severity == "error"} == wrong, said


def test_the_types_of_a_method_without_types_come_from_the_contract(tmp_path: Path) -> None:
    """In an editor, that is: `mypy --strict` asks for types that are written."""
    (tmp_path / "untyped.py").write_text(UNTYPED)
    shown = [re.sub(r'.* is "(.*)"$', r"\1", one.text) for one in pyright(tmp_path, "untyped.py")]
    of_the_contract = ["AttackedModel", "Tensor", "Goal", "Threat", "QueryRandom"]
    assert shown == [*of_the_contract, "Tensor", "Tensor"]


def test_both_know_every_public_name(folder: Path) -> None:
    """What `__all__` of a face offers is not only made at its first use, but declared."""
    assert len(faces()) >= 9
    text = "".join(
        f"from {face} import {name} as _{number}_{name}\n"
        for number, face in enumerate(faces())
        for name in import_module(face).__all__
    )
    (folder / "faces.py").write_text(text)
    try:
        for checker in CHECKERS.values():
            assert [one for one in checker(folder, "faces.py") if one.severity == "error"] == []
    finally:
        (folder / "faces.py").unlink()
