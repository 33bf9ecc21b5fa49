"""What people type, and what they see when they mistype it."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hashbench.runner.suite import quick

Command = Callable[..., subprocess.CompletedProcess[str]]

TINY = Path(__file__).parent / "tiny_data.py"
FEW = ("--plugin", TINY, "--dataset", "tiny")


def test_help_imports_no_torch(tmp_path: Path) -> None:
    """Nor pandas, nor matplotlib; and costs at most 0.4 CPU-seconds."""
    program = (
        "import sys; sys.argv = ['hashbench', '--help']\n"
        "from hashbench.cli.app import app\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'scipy', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sys.stdout.write(f"hashbench --help: {spent:.2f} CPU-seconds\n")
    assert "run" in done.stdout
    assert "report" in done.stdout


COMMANDS = (
    "", "run", "submit", "report", "status", "explain", "lookup", "suites", "plugins", "show",
    "cite", "check", "new", "doctor",
    "data check", "model export", "model import", "model check",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_speaks_to_people(hashbench: Command, command: str) -> None:
    """No Python types, no braces, no line that is broken before it is full."""
    said = hashbench(*command.split(), "--help").stdout
    for scrap in ("list[", "<", "{", "}", "Path]"):
        assert scrap not in said, scrap
    lines = [line.strip() for line in said.splitlines()]
    prose = said.partition("╭")[0].splitlines()
    for line, after in itertools.pairwise(prose):
        # The next word would have fitted: then the break is one of the source's.
        first = after.split()[0] if after.split() else ""
        if line.strip() and first and not line.startswith("   ") and "Usage" not in line:
            assert len(line.rstrip()) + 1 + len(first) > 78, (line, after)
    assert any(line.startswith("Usage: ") for line in lines)


def test_help_of_a_run_tells_the_defaults_truly(hashbench: Command) -> None:
    """Those of the quick suite, and that a radius is the data set's; and it names the suites."""
    said = " ".join(hashbench("run", "--help").stdout.replace("│", " ").split())
    suite = quick()
    options = said[said.index("╭─ Options") :]
    for name in ("dataset", "loss", "backbone", "defense", "attack", "bits", "seed"):
        values = ", ".join(str(value) for value in getattr(suite, name))
        option = options.index(f"--{name} ")
        assert f"[default: {values}]" in options[option : option + 300], name
    assert f"[default: {suite.eps[0]}; with another data set or a model, the data set's" in said
    for name in ("threads", "attack_batch", "device", "precision"):
        option = options.index(f"--{name.replace('_', '-')} ")
        assert f"[default: {getattr(suite.compute, name)}]" in options[option : option + 200]
    for panel in ("What to run", "Where models and data come from", "How it is computed"):
        assert panel in said
    assert "hashbench run zoo" in said
    assert "hashbench suites" in said


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        (["run", "--defense", "cgt"], ["no defense 'cgt'", "did you mean 'cgat'"]),
        (["run", "--attack", "pgd-haming"], ["did you mean 'pgd-hamming'"]),
        (["run", "--dataset", "fasion"], ["did you mean 'fashion'"]),
        (["run", "--loss", "dps"], ["did you mean 'dpsh'"]),
        (["run", "--backbone", "smallcnn"], ["did you mean 'small-cnn'"]),
        (["run", "--attack", "hag:step=3"], ["no parameter 'step'", "did you mean 'steps'"]),
        (["run", "--attack", "hag:steps=many"], ["'steps'", "whole number", "many"]),
        (["run", "--attack", "hag@publshed"], ["did you mean 'published'"]),
        (["run", "--eps", "-1/255"], ["eps is -1/255", "from 0 to 1"]),
        (["run", "--eps", "8"], ["eps is 8", "8/255"]),
        (["run", "--eps", "tiny"], ["eps is 'tiny'"]),
        (["run", "--bits", "0"], ["bits is 0"]),
        (["run", "--bits", "many"], ["bits", "whole number"]),
        (["run", "--workers", "0"], ["workers is 0"]),
        (["run", "--device", "gpu"], ["device", "cpu or cuda"]),
        (["run", "missing.toml"], ["missing.toml", "no such file"]),
        (["run", "quik"], ["did you mean 'quick'"]),
        (["run", "."], ["a folder", ".toml"]),
        (["run", "--dataset", "fashion-mnist"], ["--root"]),
        (["run", "--dataset", "fashion-mnist", "--root", "nowhere"], ["nowhere: no such folder"]),
        (["run", "--checkpoint", "nowhere"], ["checkpoint nowhere", "no such folder"]),
        (["run", "--model", "nowhere"], ["model nowhere", "no such folder"]),
        (["run", "--model", "m", "--bits", "8"], ["bits beside a model", "card"]),
        (["run", "cifar10-mini", "--model", "m"], ["dataset beside a model"]),
        (["model", "check", "m", "--device", "gpu"], ["'gpu', expected cpu or cuda"]),
        (["run", "--precision", "half"], ["compute.precision is 'half'", "mixed"]),
        (["model", "export", "nowhere", "--to", "m"], ["nowhere", "no such folder"]),
        (["model", "check", "nowhere"], ["nowhere", "no such folder"]),
        (["run", "--plugin", "nowhere.py"], ["nowhere.py", "no such file"]),
        (["run", "--defence", "cgat"], ["--defense"]),
        (["report", "nowhere"], ["nowhere", "no such folder"]),
        (["report", "."], ["no results in it"]),
        (["report", "--format", "csv", "--published", "a.csv"], ["no parameter 'published'"]),
        (["report", "--format", "markdwn"], ["did you mean 'markdown'"]),
        (["show", "pgd-haming"], ["did you mean 'pgd-hamming'", "more"]),
        (["show", "quik"], ["did you mean 'quick'"]),
        (["show", "attack/hga"], ["no attack 'hga'; did you mean 'hag'"]),
        (["plugins", "--kind", "atack"], ["did you mean 'attack'"]),
        (["rnu"], ["rnu"]),
    ],
)
def test_wrong_usage(hashbench: Command, words: list[str], sentences: list[str]) -> None:
    """Exit code 2, the thing to do instead, no traceback."""
    done = hashbench(*words, expect=2)
    said = " ".join(done.stderr.split())
    for sentence in sentences:
        assert sentence in said
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it is empty"),
        ("# nothing but a remark\n", "it is empty"),
        ("defense = [", "not valid TOML"),
        ("defence = 'cgat'", "did you mean 'defense'"),
        ("defense = []", "defense is an empty list"),
        ("defense = 'cgat'\n[budget]\nepoch = 3", "did you mean 'epochs'"),
        ("defense = 'cgat'\n[training]\nepochs = 'ten'", "whole number"),
        ("defense = 3", "expected a name or a table"),
        ("bits = [16, 0]", "bits is 0"),
        ("eps = 1.5", "eps is 1.5"),
    ],
)
def test_wrong_suite(hashbench: Command, tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    done = hashbench("run", "mine.toml", expect=2)
    assert "mine.toml" in done.stderr or "mine" in done.stderr
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_options_make_a_grid(hashbench: Command, tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text(
        "[training]\nepochs = 1\n[budget]\nepochs = 1\ninner_steps = 1\n"
    )
    hashbench(
        "run", "short.toml", *FEW,
        "--defense", "none", "--defense", "cgat",
        "--attack", "noise", "--attack", "pgd-hamming:steps=1",
        "--bits", "8", "--bits", "12", "--loss", "dpsh", "--loss", "csq",
        "--eps", "8/255", "--eps", "0.1",
    )  # fmt: skip
    lines = hashbench("report", "--format", "csv").stdout.splitlines()
    rows = {tuple(line.split(",")[:8]) for line in lines[1:]}
    attacked = {row for row in rows if row[5] in ("noise", "pgd-hamming:steps=1")}
    assert len(attacked) == 2 * 2 * 2 * 2 * 2
    assert {row[6] for row in attacked} == {"8/255", "0.1"}
    assert len({row for row in rows if row[5] == "none"}) == 2 * 2 * 2


@pytest.mark.slow
def test_a_failed_cell_is_shown(hashbench: Command, tmp_path: Path) -> None:
    """Its reason is in every report, the other cells go on, and the exit code is 1."""
    (tmp_path / "bad.py").write_text(
        "from dataclasses import dataclass\n"
        "from hashbench.plugins import Attack, attack\n"
        "@attack('bad')\n"
        "@dataclass(frozen=True)\n"
        "class Bad(Attack):\n"
        "    '''Returns NaN.'''\n"
        "    def perturb(self, model, images, goal, threat, rng):\n"
        "        return images * float('nan')\n"
    )
    (tmp_path / "short.toml").write_text("[training]\nepochs = 1\n")
    words = (
        "run", "short.toml", *FEW, "--plugin", "bad.py",
        "--defense", "none", "--attack", "noise", "--attack", "bad",
    )  # fmt: skip
    done = hashbench(*words, expect=1)
    assert "attack 'bad' must return finite images" in " ".join(done.stderr.split())
    assert "2 of 3 cells done" in done.stderr
    for format_name in ("terminal", "markdown", "csv"):
        report = hashbench("report", "--format", format_name, expect=1).stdout
        assert "failed" in report
        assert "finite images" in " ".join(report.split())
    # Mended, it is run again, and only it.
    source = (tmp_path / "bad.py").read_text().replace("images * float('nan')", "images")
    (tmp_path / "bad.py").write_text(source)
    again = hashbench(*words)
    assert "2 steps to do" in again.stderr
    assert "failed" not in hashbench("report").stdout


@pytest.mark.slow
def test_a_dry_run_runs_nothing(hashbench: Command, tmp_path: Path) -> None:
    done = hashbench("run", *FEW, "--dry-run", "--full")
    assert "32 cells, 69 steps; 69 steps to do: about" in done.stdout
    assert done.stdout.count("\nto do") + done.stdout.startswith("to do") == 69
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_model_is_handed_on(hashbench: Command, tmp_path: Path) -> None:
    asked = ["--plugin", TINY, "--attack", "pgd-hamming:steps=2"]
    first = ["--dataset", "tiny", "--defense", "cgat:epochs=1", "--bits", "8", "--out", "made"]
    hashbench("run", *asked, *first)
    told = hashbench("model", "export", "made", "--defense", "cgat", "--to", "model").stderr
    assert re.search(r"model: cgat:epochs=1 on tiny, 8 bits, seed 0, clean mAP \d+\.\d %", told)
    assert "there already" in hashbench("model", "export", "made", "--to", "model", expect=2).stderr
    again = hashbench("model", "check", "model", "--plugin", TINY).stdout
    assert "it still does" in again
    (tmp_path / "made").rename(tmp_path / "away")
    hashbench("run", "--model", "model", *asked, "--out", "found")
    tables = [hashbench("report", name, "--format", "csv").stdout for name in ("away", "found")]
    assert tables[0] == tables[1]
    card = tmp_path / "model" / "card.json"
    fields = json.loads(card.read_text())
    fields["clean"]["map"] += 0.1
    card.write_text(json.dumps(fields))
    lies = hashbench("model", "check", "model", "--plugin", TINY, expect=1)
    assert "it does NOT" in lies.stdout
    failed = hashbench("run", "--model", "model", *asked, "--out", "lies", expect=1)
    assert "its card claims a clean mAP" in failed.stderr


def test_a_checkpoint_replaces_training(hashbench: Command, tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text("[training]\nepochs = 1\n")
    one = ("run", "short.toml", *FEW, "--defense", "none", "--attack", "noise")
    hashbench(*one, "--bits", "8")
    (weights,) = (tmp_path / "results").glob("artifacts/model/train-*/weights.safetensors")
    hashbench(*one, "--bits", "8", "--checkpoint", weights.parent, "--out", "loaded")
    tables = []
    for folder in ("results", "loaded"):
        text = hashbench("report", folder, "--format", "csv").stdout
        # How the models were trained is another matter.
        tables.append([{**row, "training": ""} for row in csv.DictReader(io.StringIO(text))])
    assert tables[0] == tables[1]
    misfit = hashbench(*one, "--bits", "16", "--checkpoint", weights.parent, expect=2)
    assert "is of bits 8" in " ".join(misfit.stderr.split())
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    cut = hashbench(*one, "--bits", "8", "--checkpoint", weights.parent, expect=2)
    assert "cannot be read" in " ".join(cut.stderr.split())
    assert "Traceback" not in cut.stderr


def test_an_interrupt_that_python_drops_is_repeated(tmp_path: Path) -> None:
    """A KeyboardInterrupt inside a finaliser is written to stderr and forgotten."""
    program = (
        "import os, signal, time\n"
        "from hashbench.cli.ended import repeat_interrupts\n"
        "class Dropped:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(0.01)\n"
        "try:\n"
        "    with repeat_interrupts():\n"
        "        Dropped()\n"
        "        time.sleep(20)\n"
        "except KeyboardInterrupt:\n"
        "    print('heard')\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout == "heard\n", done.stderr
    assert "Exception ignored" in done.stderr
