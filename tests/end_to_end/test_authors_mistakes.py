"""What authors get wrong, of every kind of plugin and wherever its code is called.

Each is told with the file and line that is to be mended, and with the rule or the error. The line
is the one that the source marks with `# here`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.trials import Trial, Trials

TINY = Path(__file__).parents[1] / "plugins/tiny_data.py"

HEAD = """
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
import torch
from torch import nn
from hashbench.data import ImageSet, RetrievalData
from hashbench.defending import Budget, DefenseSetup, WrappedModel
from hashbench.hashing import BackboneNet, BoundLoss, Objective, Recipe
from hashbench.plugins import (
    Attack, Backbone, Dataset, Defense, Format, Hasher, Loss, TrainedAttack, TrainedDefense,
    WrappingDefense, attack, backbone, dataset, defense, hasher, loss, report_format,
)
"""

DECLARED = {
    kind: f'@{decorator}("mine")\n@dataclass(frozen=True)\nclass Mine({base}):\n    "One."\n'
    for kind, decorator, base in (
        ("attack", "attack", "Attack"),
        ("learning", "attack", "TrainedAttack"),
        ("defense", "defense", "WrappingDefense"),
        ("trained", "defense", "TrainedDefense"),
        ("loss", "loss", "Loss"),
        ("backbone", "backbone", "Backbone"),
        ("dataset", "dataset", "Dataset"),
        ("format", "report_format", "Format"),
        ("hasher", "hasher", "Hasher"),
    )
}

ARGUMENTS = "self, model, images, goal, threat, rng"
IMAGES = "np.arange(8 * 64, dtype=np.uint8).reshape(8, 1, 8, 8)"
CODE = "bits = 8\nthreshold: int = 1"
LABELS = "np.eye(4, dtype=np.uint8)[np.arange(8) % 4]"


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials() as found:
        yield found


def written(folder: Path, kind: str, body: str) -> tuple[Path, str]:
    """The plugin's file, and the place that it marks: `my_attack.py:12`."""
    path = folder / f"my_{kind}.py"
    lines = "\n".join(f"    {line}" if line else "" for line in body.split("\n"))
    text = HEAD + (DECLARED[kind] + lines if "@" not in body else body) + "\n"
    path.write_text(text)
    marked = [at for at, line in enumerate(text.split("\n"), start=1) if "# here" in line]
    return path, f"{path.name}:{marked[0]}" if marked else path.name


@dataclass(frozen=True)
class Mistake:
    """One slip, and what its author has to be told.

    Attributes:
        kind: of plugin.
        body: of its class, or the whole declaration.
        words: a pattern of what is said.
        code: the exit code of `hashbench check`.
    """

    kind: str
    body: str
    words: str
    code: int = 1


MISTAKES = {
    # What it returns is of the wrong type.
    "attack-returns-none": Mistake(
        "attack", f"def perturb({ARGUMENTS}):  # here\n    images.clone()", "returned NoneType"
    ),
    "defense-wraps-nothing": Mistake(
        "defense", "def wrap(self, model):  # here\n    return lambda x: x", "not a HashModel"
    ),
    "trained-returns-a-number": Mistake(
        "trained",
        "def recipe(self, budget):  # here\n    return budget.epochs\n"
        "def objective(self, setup):\n    return None",
        r"recipe\(\) returned an int, not a Recipe",
    ),
    "loss-binds-a-function": Mistake(
        "loss",
        "def bind(self, setup):  # here\n    return lambda u, y, i: u.sum()",
        r"bound-loss +failed +bind\(\) returned a function, not a BoundLoss",
    ),
    "backbone-builds-a-module": Mistake(
        "backbone",
        "def build(self, images):  # here\n    return nn.Flatten()",
        r"must return a BackboneNet, but returned a Flatten: return hashbench.hashing.Backbone",
    ),
    "dataset-loads-a-tuple": Mistake(
        "dataset",
        "def load(self, root):  # here\n    return (1, 2, 3)",
        r"returned a tuple, not a RetrievalData: return hashbench.data.RetrievalData\(classes, ",
    ),
    "format-renders-bytes": Mistake(
        "format",
        'def render(self, results, *, width=None):  # here\n    return b"x"',
        r"render\(\) returned a bytes, not a text",
    ),
    "format-renders-none": Mistake(
        "format",
        "def render(self, results, *, width=None):  # here\n    pass",
        r"render\(\) returned None, not a text",
    ),
    "format-gives-texts": Mistake(
        "format",
        'def files(self, results, *, width=None):  # here\n    return {"a.html": "x"}',
        r"files\(\) gives a str as 'a.html', not bytes: a text becomes bytes by text.encode\(\)",
    ),
    "hasher-returns-a-list": Mistake(
        "hasher",
        f"{CODE}\ndef verdict(self, picture):  # here\n    return [True] * 8",
        r"verdict\(\) returned a list, not a NumPy array of bool",
    ),
    "hasher-returns-other-bits": Mistake(
        "hasher",
        f"{CODE}\ndef verdict(self, picture):  # here\n    return picture[:7, 0, 0] > 128",
        r"verdict\(\) returned bool of shape \(7,\), expected bool of shape \(8,\)",
    ),
    # A field is left out.
    "dataset-without-classes": Mistake(
        "dataset",
        f"def load(self, root):\n    part = ImageSet({IMAGES}, {LABELS})\n"
        "    return RetrievalData(train=part, query=part, database=part)  # here",
        r"RetrievalData is made without its field 'classes': write RetrievalData\(classes, train, ",
    ),
    "dataset-with-another-field": Mistake(
        "dataset",
        f"def load(self, root):\n    part = ImageSet({IMAGES}, {LABELS})\n"
        "    return RetrievalData(class_names=(), train=part, query=part, database=part)  # here",
        r"RetrievalData has no field 'class_names'; did you mean 'classes'\?",
    ),
    "backbone-without-features": Mistake(
        "backbone",
        "def build(self, images):\n"
        "    return BackboneNet(nn.Flatten(), mean=images.mean, std=images.std)  # here",
        r"BackboneNet is made without its field 'features': write BackboneNet\(module, features, ",
    ),
    "trained-without-epochs": Mistake(
        "trained",
        "def recipe(self, budget):\n    return Recipe(rate=0.1)  # here\n"
        "def objective(self, setup):\n    return None",
        r"Recipe has no field 'rate'",
    ),
    # A method's name is misspelt.
    **{
        f"{kind}-misspells": Mistake(
            kind,
            f"def {wrong}({given}):  # here\n    return None",
            rf"does not define {right}, which every \w+ needs: write {right}\({given}\); "
            rf"did you mean {right} by {wrong} \(",
            code=2,
        )
        for kind, wrong, right, given in (
            ("attack", "pertub", "perturb", ARGUMENTS),
            ("defense", "wrapp", "wrap", "self, model"),
            ("loss", "bnd", "bind", "self, setup"),
            ("backbone", "buidl", "build", "self, images"),
            ("dataset", "lod", "load", "self, root"),
        )
    },
    "hasher-misspells": Mistake(
        "hasher",
        f"{CODE}\ndef verdit(self, picture):  # here\n    return picture[:8, 0, 0] > 128",
        r"does not define verdict, which every hasher needs: write verdict\(self, picture\); "
        r"did you mean verdict by verdit \(",
        code=2,
    ),
    "format-misspells": Mistake(
        "format",
        '@report_format("mine")\n@dataclass(frozen=True)\nclass Mine(Format):  # here\n    "One."\n'
        '    def rendr(self, results, *, width=None):\n        return ""',
        r"class Mine defines neither render .* did you mean render by rendr\?",
        code=2,
    ),
    # No decorator, no sentence, no argument.
    "attack-without-dataclass": Mistake(
        "attack",
        '@attack("mine")\nclass Mine(Attack):\n    "One."\n    share: float = 1.0\n'
        f"    def perturb({ARGUMENTS}):\n        return images",
        r"is no dataclass of its own: write @dataclass\(frozen=True\) above it \(my_attack.py:",
    ),
    "dataset-without-a-sentence": Mistake(
        "dataset",
        '@dataset("mine")\n@dataclass(frozen=True)\nclass Mine(Dataset):\n'
        "    def load(self, root):\n        return None",
        r"documented +failed +its class has no docstring: write one sentence .*my_dataset.py:\d+\)",
    ),
    "attack-takes-too-little": Mistake(
        "attack",
        "def perturb(self, model, images):  # here\n    return images",
        r"signatures +failed +class Mine: perturb\(self, model, images\) cannot be called as "
        r"Attack.perturb\(self, model, images, goal, threat, rng\)",
    ),
    # Its own code raises.
    **{
        f"{kind}-raises": Mistake(kind, f"{body}  # here{more}", "AttributeError: .*ouputs")
        for kind, body, more in (
            ("attack", f"def perturb({ARGUMENTS}):\n    return model.ouputs(images)", ""),
            ("defense", "def wrap(self, model):\n    return model.ouputs(1)", ""),
            (
                "trained",
                (
                    "def recipe(self, budget):\n    return Recipe(epochs=budget.epochs)\n"
                    "def objective(self, setup):\n    return setup.model.ouputs"
                ),
                "",
            ),
            ("loss", "def bind(self, setup):\n    return setup.ouputs", ""),
            ("backbone", "def build(self, images):\n    return images.ouputs", ""),
            ("dataset", "def load(self, root):\n    return root.ouputs", ""),
            ("hasher", f"{CODE}\ndef verdict(self, picture):\n    return picture.ouputs", ""),
            (
                "format",
                "def render(self, results, *, width=None):\n    return results.ouputs",
                "",
            ),
        )
    },
    # The file does not load.
    "file-raises": Mistake(
        "loss",
        '@loss("mine")\n@dataclass(frozen=True)\nclass Mine(Loss):\n    x = np.nothing  # here',
        "is broken: AttributeError: module 'numpy' has no attribute 'nothing'",
        code=2,
    ),
    "file-is-no-python": Mistake(
        "loss", '@loss("mine"  # here\nclass Mine(Loss): ...', "is broken: SyntaxError", code=2
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_file_line_and_rule(
    mistake: Mistake, trials: Trials, tmp_path: Path
) -> None:
    path, place = written(tmp_path, mistake.kind, mistake.body)
    told = trials.run("check", path.name, cwd=tmp_path)
    assert told.code == mistake.code, told.out + told.err
    assert not told.crashed, told.err
    said = " ".join((told.out + told.err).split())
    assert re.search(mistake.words, said), said
    assert place in said, said


@pytest.mark.parametrize(
    ("kind", "body", "right"),
    [
        (
            "attack",
            f"def perturb({ARGUMENTS}):\n    return images\ndef pases(self): return 1  # here",
            "passes",
        ),
        ("backbone", "def build(self, images): ...\ndef bear(self): return self  # here", "bare"),
        ("dataset", "def load(self, root): ...\nneeds_roots = True  # here", "needs_root"),
        (
            "hasher",
            f"{CODE}\ndef verdict(self, picture): ...\ndef prof(self, h, w): ...  # here",
            "proof",
        ),
        (
            "format",
            "def render(self, results, *, width=None): return ''\nsufix = '.x'  # here",
            "suffix",
        ),
    ],
)
def test_a_name_that_nobody_calls_is_warned_of(
    kind: str, body: str, right: str, trials: Trials, tmp_path: Path
) -> None:
    path, place = written(tmp_path, kind, body)
    said = " ".join(trials.run("check", path.name, cwd=tmp_path).out.split())
    assert re.search(rf"Warning: class Mine: .*did you mean '{right}'", said), said
    if "def" in body.split("\n")[-1]:
        assert place in said


SUITE = f"""
name = "small"
plugin = ["{TINY}"]
dataset = "tiny"
backbone = "small-cnn:width=4,hidden=16"
bits = 8
defense = ["none"]
attack = ["noise"]
training = {{epochs = 1, batch = 8}}
budget = {{epochs = 1, inner_steps = 1}}
"""

BAD = "raise KeyError('lost')  # here"
KEEP = f"def perturb({ARGUMENTS}):\n    return images\n"
NET = "BackboneNet(Net(), 64, images.mean, images.std)"

PLACES = {
    # kind, body of the class, words of the command: `run` where nothing else is said
    "attack perturb": ("attack", f"def perturb({ARGUMENTS}):\n    {BAD}", "run"),
    **{
        f"attack {method}": ("attack", f"{KEEP}def {method}(self{more}):\n    {BAD}", "run")
        for method, more in (
            ("passes", ""),
            ("aim", ""),
            ("surrogate", ""),
            ("reads", ""),
            ("reach_of_steps", ", radius, images"),
            ("__post_init__", ""),
        )
    },
    "attack network": (
        "learning",
        f"{KEEP}def network(self, sizes):\n    {BAD}\ndef train(self, network, setup): ...",
        "run",
    ),
    "attack train": (
        "learning",
        (
            f"{KEEP}def network(self, sizes):\n    return nn.Linear(2, 2)\n"
            f"def train(self, network, setup):\n    {BAD}"
        ),
        "run",
    ),
    "defense wrap": ("defense", f"def wrap(self, model):\n    {BAD}", "run"),
    "defense recipe": (
        "trained",
        f"def recipe(self, budget):\n    {BAD}\ndef objective(self, setup): ...",
        "run",
    ),
    "defense objective": (
        "trained",
        (
            "def recipe(self, budget):\n    return Recipe(epochs=1)\n"
            f"def objective(self, setup):\n    {BAD}"
        ),
        "run",
    ),
    "defense loss of a batch": (
        "trained",
        (
            "def recipe(self, budget):\n    return Recipe(epochs=1)\n"
            "def objective(self, setup):\n    class Own(Objective):\n"
            "        def loss(self, batch):\n"
            f"            {BAD}\n    return Own()"
        ),
        "run",
    ),
    "defense logits": (
        "defense",
        (
            "def wrap(self, model):\n    class Own(WrappedModel):\n"
            "        def logits(self, images):\n"
            f"            {BAD}\n    return Own(model)"
        ),
        "run",
    ),
    "loss bind": ("loss", f"def bind(self, setup):\n    {BAD}", "run"),
    "loss forward": (
        "loss",
        (
            "def bind(self, setup):\n    class Own(BoundLoss):\n"
            "        def forward(self, outputs, labels, index):\n"
            f"            {BAD}\n    return Own()"
        ),
        "run",
    ),
    "backbone build": ("backbone", f"def build(self, images):\n    {BAD}", "run"),
    "backbone bare": (
        "backbone",
        f"def build(self, images):\n    return None\ndef bare(self):\n    {BAD}",
        "run",
    ),
    "backbone forward": (
        "backbone",
        (
            f"def build(self, images):\n    class Net(nn.Module):\n        def forward(self, x):\n"
            f"            {BAD}\n    return {NET}"
        ),
        "run",
    ),
    **{
        f"dataset {method} {command}": (
            "dataset",
            f"def {method}(self{more}):\n    {BAD}"
            + ("" if method == "load" else "\ndef load(self, root):\n    return SMALL"),
            command,
        )
        for method, more in (
            ("load", ", root"),
            ("prepare", ", root, progress"),
            ("home", ", root"),
            ("protocol_name", ""),
            ("list_length", ""),
        )
        for command in ("run", "data check")
    },
    **{
        f"format {method}": (
            "format",
            f"def {method}(self, results, *, width=None):\n    {BAD}",
            command,
        )
        for method, command in (("render", "report"), ("files", "report -o pages"))
    },
}


def called(trials: Trials, folder: Path, kind: str, name: str, command: str, *more: str) -> Trial:
    """Call the plugin's code in the way that a command does."""
    words = command.split()
    file = ["--plugin", f"my_{kind}.py"]
    if command == "run":
        (folder / "small.toml").write_text(SUITE)
        option = {"trained": "defense", "learning": "attack"}.get(kind, kind)
        return trials.run("run", "small.toml", *file, f"--{option}", name, *more, cwd=folder)
    if words[0] == "report":
        return trials.run("report", "done", *words[1:], "--format", name, *file, *more, cwd=folder)
    return trials.run(*words, name, *file, *more, cwd=folder)


@pytest.fixture(scope="module")
def done(trials: Trials, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "small.toml").write_text(SUITE)
    ran = trials.run("run", "small.toml", "--out", "done", cwd=folder)
    assert ran.code == 0, ran.err
    return folder / "done"


@pytest.mark.parametrize("place", PLACES)
def test_a_bug_is_told_with_file_and_line_wherever_it_is_called(
    place: str, trials: Trials, done: Path, tmp_path: Path
) -> None:
    kind, body, command = PLACES[place]
    (tmp_path / "done").symlink_to(done)
    path, where = written(tmp_path, kind, body)
    path.write_text(
        path.read_text()
        + f"PART = ImageSet({IMAGES}, {LABELS})\n"
        + "SMALL = RetrievalData(tuple('abcd'), PART, PART, PART)\n"
    )
    told = called(trials, tmp_path, kind, "mine", command)
    assert told.code in (1, 2), told.out + told.err
    assert not told.crashed, told.err
    assert f"KeyError: 'lost' ({where})" in told.err, told.err
    assert "Traceback" not in told.err.replace("Tracebacks", "")

    loud = called(trials, tmp_path, kind, "mine", command, "--debug")
    assert loud.code == told.code
    assert "Traceback (most recent call last):" in loud.err
    assert re.search(rf'File ".*{path.name}", line {where.partition(":")[2]}, in', loud.err)


def test_the_end_of_a_run_names_a_file_that_is_there(trials: Trials, tmp_path: Path) -> None:
    written(
        tmp_path, "loss", "def bind(self, setup):\n    raise ValueError('\\x1b[31mred')  # here"
    )
    told = called(trials, tmp_path, "loss", "mine", "run")
    assert "0 of 2 cells done.\n" in told.err
    assert "hashbench report" not in told.err
    named = re.search(r"It is kept in (\S+\.json)", told.err)
    assert named is not None, told.err
    assert (tmp_path / named[1]).is_file()
    loud = called(trials, tmp_path, "loss", "mine", "run", "--debug")
    assert "\x1b" not in told.err + loud.err
    assert "\\x1b[31mred" in loud.err


def test_a_broken_file_comes_before_the_names_that_there_are(
    trials: Trials, tmp_path: Path
) -> None:
    written(tmp_path, "attack", f"def pertub({ARGUMENTS}):  # here\n    return images")
    told = called(trials, tmp_path, "attack", "mine", "run")
    assert told.code == 2
    assert told.err.index("does not define perturb") < told.err.index("there is no attack 'mine'")


def test_a_parameter_without_a_value_is_named(trials: Trials, tmp_path: Path) -> None:
    written(tmp_path, "attack", f"share: float\ndef perturb({ARGUMENTS}):\n    return images")
    told = called(trials, tmp_path, "attack", "mine", "run")
    assert told.code == 2
    assert "attack 'mine' needs its parameter 'share', which has no default" in told.err


def test_an_error_outside_of_the_plugin_is_told_where_it_was_called(
    trials: Trials, tmp_path: Path
) -> None:
    """It takes too few arguments: none of its lines runs."""
    written(tmp_path, "attack", "def perturb(self, model, images):\n    return images")
    told = called(trials, tmp_path, "attack", "mine", "run")
    assert told.code == 1
    assert re.search(r"TypeError: .* \(hashbench/attacking/harness\.py:\d+\)", told.err), told.err
