"""A stranger's text on every command: what steers a terminal never reaches it, brackets stay.

Names and messages come from model cards, suites, plugins, paths, lists, weights and typed words.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from hashbench.characters import shown
from support.trials import Trial, Trials

GOLDEN = Path(__file__).parents[1] / "golden" / "format-2"
TINY = Path(__file__).parents[1] / "golden" / "tiny.py"

NAME = "\x1b]0;pwned\x07[red]x[bold]\u202e\u200b\u2066\x9b31my"
"""A title for the terminal, a bell, markup, a turned direction, what is not seen."""

SEEN = r"[red]x[bold]\u202e\u200b\u2066\x9b31my"
"""The part of it that must be found as it is printed; rich drops a bell of its own accord."""


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials(env={"COLUMNS": "250"}) as server:
        yield server


def assert_is_text(trial: Trial, *, seen: bool = True) -> None:
    printed = trial.out + trial.err
    assert not trial.crashed, printed
    assert shown(printed, keep="\n") == printed
    assert SEEN in printed or not seen, printed


def plugin_file(folder: Path, body: str) -> Path:
    path = folder / "foreign.py"
    path.write_text(
        "from dataclasses import dataclass\n"
        "from hashbench.errors import PluginError\n"
        "from hashbench.plugins import Attack, attack\n"
        f"TEXT = {NAME!r}\n" + body,
    )
    return path


ATTACK = (
    "@attack('foreign', cite=TEXT, version=TEXT)\n"
    "@dataclass(frozen=True)\n"
    "class Foreign(Attack):\n"
    "    __doc__ = 'Does ' + TEXT + '.\\n\\nAttributes:\\n    note: ' + TEXT\n"
    "    note: str = TEXT\n"
    "    def perturb(self, model, images, goal, threat, rng):\n"
    "        import logging, warnings\n"
    "        warnings.warn(TEXT)\n"
    "        logging.getLogger('x').warning(TEXT)\n"
    "        raise PluginError(TEXT)\n"
)


def test_plugins_and_show(trials: Trials, tmp_path: Path) -> None:
    file = plugin_file(tmp_path, ATTACK)
    assert_is_text(trials.run("plugins", "--plugin", str(file), cwd=tmp_path))
    assert_is_text(trials.run("show", "foreign", "--plugin", str(file), cwd=tmp_path))
    assert_is_text(trials.run("check", str(file), cwd=tmp_path), seen=False)
    assert_is_text(trials.run("check", str(file), "-v", cwd=tmp_path), seen=False)


def test_a_broken_plugin(trials: Trials, tmp_path: Path) -> None:
    file = plugin_file(tmp_path, "raise RuntimeError(TEXT)\n")
    for words in (
        ["plugins"],
        ["plugins", "-v"],
        ["show", "foreign"],
        ["data", "check", "foreign"],
    ):
        assert_is_text(trials.run(*words, "--plugin", str(file), cwd=tmp_path))
    assert_is_text(trials.run("run", "--attack", "foreign", "--plugin", str(file), cwd=tmp_path))


@pytest.mark.slow
def test_a_run_whose_plugin_says_it(trials: Trials, tmp_path: Path) -> None:
    """Lines of the run, warnings and loggers, what failed; then every report of it."""
    (tmp_path / "short.toml").write_text("[training]\nepochs = 1\n")
    file = plugin_file(tmp_path, ATTACK)
    words = ["run", "short.toml", "--plugin", str(TINY), "--plugin", str(file), "--dataset", "tiny"]
    words += ["--defense", "none", "--attack", "foreign", "--bits", "8", "--out", "made"]
    done = trials.run(*words, cwd=tmp_path)
    assert_is_text(done)
    assert done.code == 1
    assert done.err.count(SEEN) >= 4
    for name in ("terminal", "markdown", "csv"):
        report = trials.run("report", "made", "--format", name, cwd=tmp_path)
        assert_is_text(report, seen=name != "markdown")


def test_a_model_card(trials: Trials, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(GOLDEN / "model", model)
    card = json.loads((model / "card.json").read_text())
    for key in ("defense", "dataset", "loss", "backbone", "licence"):
        if isinstance(card.get(key), str):
            (model / "card.json").write_text(json.dumps({**card, key: NAME}))
            for words in (["run", "--model", "model", "--dry-run"], ["model", "check", "model"]):
                done = trials.run(*words, "--plugin", str(TINY), cwd=tmp_path)
                assert_is_text(done, seen=False)


@pytest.mark.parametrize("key", ["defense", "attack", "dataset", "loss", "backbone", "eps", "name"])
def test_a_suite(trials: Trials, tmp_path: Path, key: str) -> None:
    (tmp_path / "suite.toml").write_text(f"{key} = {json.dumps(NAME)}\n", encoding="utf-8")
    done = trials.run("run", "suite.toml", "--dry-run", cwd=tmp_path)
    assert_is_text(done, seen=key != "name")
    (tmp_path / "suite.toml").write_text(f"{json.dumps(NAME)} = 1\n", encoding="utf-8")
    assert_is_text(trials.run("run", "suite.toml", "--dry-run", cwd=tmp_path))


TYPED: tuple[tuple[str, ...], ...] = (
    (NAME,),
    (f"--{NAME}",),
    ("run", f"--{NAME}"),
    ("run", NAME),
    ("run", "--attack", NAME),
    ("run", "--eps", NAME),
    ("run", "--model", NAME),
    ("run", "--root", NAME, "--dataset", "lists"),
    ("run", "--plugin", NAME),
    ("run", "--engine", NAME),
    ("report", NAME),
    ("report", "old", "-o", f"{NAME}/a.md"),
    ("report", "old", "--format", NAME),
    ("report", "old", "--plots", NAME),
    ("report", "old", "--published", NAME),
    ("show", NAME),
    ("check", NAME),
    ("check", f"{NAME}.py"),
    ("new", NAME, "x"),
    ("data", NAME),
    ("data", "check", NAME),
    ("data", "check", "lists", "--root", NAME),
    ("model", NAME),
    ("model", "check", NAME),
    ("model", "export", NAME, "--to", "new"),
    ("model", "export", "old", "--to", "new", "--defense", NAME),
)


@pytest.mark.parametrize("words", TYPED, ids=lambda words: " ".join(words).replace(NAME, "NAME"))
def test_typed_words(trials: Trials, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "old").symlink_to(GOLDEN / "results")
    assert_is_text(trials.run(*words, cwd=tmp_path))


def test_paths_and_lists(trials: Trials, tmp_path: Path) -> None:
    root = tmp_path / NAME
    root.mkdir()
    for split in ("train", "test", "database"):
        (root / f"{split}.txt").write_text("no-such[image].png 1 0\n")
    done = trials.run("data", "check", "lists:crop=32", "--root", NAME, cwd=tmp_path)
    assert_is_text(done)
    assert "no-such[image].png" in done.out
    shutil.copytree(GOLDEN / "results", tmp_path / f"r{NAME}")
    done = trials.run("report", f"r{NAME}", "--format", "plots", "-o", f"p{NAME}", cwd=tmp_path)
    assert_is_text(done)
    (root / "train.txt").write_text(f"{NAME}.png {NAME}\n")
    assert_is_text(trials.run("data", "check", "lists", "--root", NAME, cwd=tmp_path))


def test_weights(trials: Trials, tmp_path: Path) -> None:
    torch.save({NAME: torch.zeros(2)}, tmp_path / "w.pth")
    words = ["--to", "new", "--dataset", "fashion", "--loss", "csq", "--backbone", "resnet18"]
    assert_is_text(trials.run("model", "import", "w.pth", *words, cwd=tmp_path), seen=False)
    np.savez(tmp_path / "w.safetensors", a=np.zeros(1))
    done = trials.run("model", "import", "w.safetensors", *words, cwd=tmp_path)
    assert_is_text(done, seen=False)


def test_a_stored_failure(trials: Trials, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "results", tmp_path / "made")
    notes = list((tmp_path / "made").rglob("failures/*.json"))
    assert notes
    for note in notes:
        said = json.loads(note.read_text())
        note.write_text(json.dumps({**said, "reason": NAME, "traceback": NAME}))
    for name in ("terminal", "csv"):
        assert_is_text(trials.run("report", "made", "--full", "--format", name, cwd=tmp_path))
