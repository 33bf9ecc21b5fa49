"""`hashbench check` and `hashbench new`, as an author meets them."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from hashbench.cli.scaffold import class_name, rendered, requirement
from hashbench.plugins import Kind
from hashbench.plugins.card import API
from hashbench.testing import ATTACK_CHECKS

Command = Callable[..., subprocess.CompletedProcess[str]]

SOUND = """
from dataclasses import dataclass
import torch
from hashbench.plugins import Attack, attack

@attack("{name}")
@dataclass(frozen=True)
class {name}_step(Attack):
    "One signed step."
    share: float = 1.0
    def perturb(self, model, images, goal, threat, rng):
        point = images.clone().requires_grad_(True)
        loss = (model.outputs(point) * goal.center_codes).sum()
        (gradient,) = torch.autograd.grad(loss, point)
        return threat.project(images {sign} self.share * threat.radius * gradient.sign(), images)
    def passes(self):
        return 1
"""


def write(path: Path, *, name: str = "step", sign: str = "-") -> Path:
    path.write_text(path.read_text() if path.exists() else "")
    path.write_text(path.read_text() + SOUND.format(name=name, sign=sign))
    return path


def test_a_sound_file_passes(hashbench: Command, tmp_path: Path) -> None:
    """Told in a line or two: nothing is broken, and how many rules were tried."""
    done = hashbench("check", write(tmp_path / "step.py"))
    lines = done.stdout.splitlines()
    assert lines[0] == "attack step"
    assert len(lines) <= 6
    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)
    counts = re.search(r"(\d+) passed, 0 failed, (\d+) skipped \(", done.stdout)
    assert counts is not None
    assert int(counts[1]) + int(counts[2]) == len(ATTACK_CHECKS)


def test_verbose_names_every_check(hashbench: Command, tmp_path: Path) -> None:
    done = hashbench("check", write(tmp_path / "step.py"), "--verbose")
    lines = done.stdout.splitlines()
    assert all(line == line.rstrip() for line in lines)
    words = [line.split() for line in lines if line and not line.startswith(" ")]
    rows = words[1 : len(ATTACK_CHECKS) + 1]
    assert [row[0] for row in rows] == [c.name for c in ATTACK_CHECKS]
    verdicts = [row[1] for row in rows]
    assert set(verdicts) == {"passed", "skipped"}
    passed, skipped = verdicts.count("passed"), verdicts.count("skipped")
    assert f"{passed} passed, 0 failed, {skipped} skipped (" in done.stdout


def test_verbose_says_what_is_asked_for(hashbench: Command, tmp_path: Path) -> None:
    path = write(tmp_path / "step.py")
    rule = "it does not change its images in place"
    assert rule not in hashbench("check", path).stdout
    said = hashbench("check", path, "--verbose").stdout
    assert rule in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 80


def test_a_broken_rule_is_code_1_and_a_sentence(hashbench: Command, tmp_path: Path) -> None:
    path = write(write(tmp_path / "step.py", name="wrong", sign="+"), name="right")
    done = hashbench("check", path, expect=1)
    said = " ".join(done.stdout.split())
    assert "leads-away failed at radius 16/255 it moves the mAP of a small model from" in said
    # Both plugins of the file are checked, and the counts are each one's own.
    assert "attack wrong" in said
    assert "attack right" in said
    assert len(re.findall(r"passed, 1 failed,", said)) == 1
    assert len(re.findall(r"passed, 0 failed,", said)) == 1
    assert not done.stderr


def test_names_kinds_and_parameters(hashbench: Command, tmp_path: Path) -> None:
    path = write(tmp_path / "step.py")
    assert hashbench("check", "loss/dpn").stdout.startswith("loss dpn\n")
    assert hashbench("check", "none").stdout.startswith("defense none\n")
    done = hashbench("check", "step:share=0.5", "--plugin", path, expect=1)
    assert done.stdout.startswith("attack step:share=0.5\n")
    assert "linear-hash-above            failed" in done.stdout


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("pgd-haming", "there is no plugin 'pgd-haming'; did you mean 'pgd-hamming'?"),
        ("hag:step=3", "attack 'hag' has no parameter 'step'; did you mean 'steps'?"),
        ("attack/cgat", "there is no attack 'cgat'"),
        ("attac/hag", "no kind of plugin 'attac'; did you mean 'attack'?"),
        ("bad.py", "(bad.py:1)"),
        ("nothing.py", "plugin file nothing.py: no such file"),
        ("empty.py", "plugin file empty.py is broken"),
        ("bad.py", "plugin file bad.py is broken: ZeroDivisionError: division by zero"),
    ],
)
def test_wrong_usage_is_one_sentence(
    target: str, sentence: str, hashbench: Command, tmp_path: Path
) -> None:
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "bad.py").write_text("1 / 0\n")
    done = hashbench("check", target, expect=2)
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


@pytest.mark.parametrize("kind", [kind.value for kind in Kind])
def test_a_new_plugin_keeps_the_rules(kind: str, hashbench: Command, tmp_path: Path) -> None:
    done = hashbench("new", kind, "my-first")
    module = tmp_path / f"my-first/src/hashbench_my_first/{kind}.py"
    for place in rendered(Kind(kind), "my-first"):
        assert (tmp_path / "my-first" / place).is_file()
        assert f"my-first/{place}\n" in done.stdout
    checked = hashbench("check", module)
    assert checked.stdout.startswith(f"{kind} my-first\n")
    assert "0 failed" in checked.stdout


@pytest.mark.parametrize(
    ("name", "suffix", "owner"),
    [
        ("md", ".md-report", "markdown"),
        ("txt", ".txt-report", "terminal"),
        ("png", ".png-report", "plots"),
        ("lines", ".lines", ""),
    ],
)
def test_a_new_format_takes_no_suffix_of_another(
    name: str, suffix: str, owner: str, hashbench: Command, tmp_path: Path
) -> None:
    told = f"Its files end in *{suffix}, for *.{name} are those of format '{owner}'.\n"
    assert (told in hashbench("new", "format", name).stdout) == bool(owner)
    module = tmp_path / f"{name}/src/hashbench_{name}/format.py"
    assert f'    suffix = "{suffix}"\n' in module.read_text()
    assert "0 failed" in hashbench("check", module).stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind.value for kind in Kind])
def test_a_new_package_installs_and_is_found(kind: str, hashbench: Command, tmp_path: Path) -> None:
    hashbench("new", kind, "my-first")
    package, site = tmp_path / "my-first", tmp_path / "site"
    command = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--target", str(site)]
    if int(importlib.metadata.version("setuptools").split(".")[0]) >= 77:
        command += ["--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, str(package)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    places = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"}
    for words in (
        ("hashbench", "check", "my-first"),
        ("pytest", "-q", "-p", "no:cacheprovider", str(package / "tests")),
        ("hashbench", "show", "my-first"),
    ):
        done = subprocess.run(
            [sys.executable, "-P", "-m", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    assert "hashbench-my-first 0.1.0" in done.stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("attack", "My_Attack"), "attack name 'My_Attack': use small letters, digits"),
        (("attack", "../up"), "attack name '../up': use small letters, digits"),
        (("attack", "a" * 41), "at most 40"),
        (("attack", "hag"), "the attack 'hag' exists already"),
        (("attack", "taken"), "taken: there is a file or folder of that name already"),
        (("suite", "mine"), "there is no package of kind 'suite'"),
        (("dataset", "fashion"), "the dataset 'fashion' exists already"),
        (("atack", "mine"), "did you mean 'attack'?"),
    ],
)
def test_a_wrong_new_one_is_one_sentence(
    words: tuple[str, ...], sentence: str, hashbench: Command, tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    done = hashbench("new", *words, expect=2)
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    assert not any((tmp_path / "taken").iterdir())


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("name", ["a", "2-fast", "none", "true", "class", "x-1-y"])
def test_what_is_written_is_python_and_toml_whatever_the_name(kind: Kind, name: str) -> None:
    for place, text in rendered(kind, name).items():
        assert "$" not in text
        assert max(map(len, text.splitlines()), default=0) <= 110
        if place.endswith(".py"):
            compile(text, place, "exec")
        if place.endswith(".toml"):
            project = tomllib.loads(text)["project"]
            found = project["entry-points"][kind.group]
            assert found == {name: f"hashbench_{name.replace('-', '_')}.{kind}"}
            assert project["dependencies"] == [requirement(importlib.metadata.version("hashbench"))]
        if place.endswith(f"/{kind}.py"):
            declared = (
                f'@report_format("{name}", version="1", api={API})\n'
                if kind is Kind.FORMAT
                else f'@{kind}("{name}", cite="", version="1", api={API})\n'
            )
            assert declared in text
    assert class_name(name).isidentifier()


@pytest.mark.parametrize(
    ("installed", "asked"),
    [
        ("0.1.0", ">=0.1,<0.2"),
        ("0.10.3", ">=0.10,<0.11"),
        ("1.0.0rc1", ">=1.0,<1.1"),
        ("2.9.dev1+g0", ">=2.9,<2.10"),
    ],
)
def test_a_package_asks_for_one_minor_version(installed: str, asked: str) -> None:
    assert requirement(installed) == f"hashbench{asked}"


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys\n"
        "from hashbench.cli.app import main\n"
        "for words in (['check', '--help'], ['new', '--help']):\n"
        "    sys.argv = ['hashbench', *words]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as end:\n"
        "        assert not end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "NAME-OR-FILE" in done.stdout
