"""docs/attack-libraries.md is true: its files work, its commands run, and its attacks attack.

`hashbench run` gets a small suite; nothing else is changed. torchattacks, foolbox and ART are part
of the environment that `make test` makes.
"""

from __future__ import annotations

import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from hashbench.attacking import Seeding
from hashbench.eps import Eps
from hashbench.testing.case import linear, ordinary
from hashbench.testing.stage import AttackStage
from support.pages import DOCS, blocks, small_suite

BLOCKS = blocks(DOCS / "attack-libraries.md")
FILES = {
    block.text.split("\n", 1)[0].removeprefix("# "): block.text
    for block in BLOCKS
    if block.language == "python"
}

THRESHOLD = 2 / 255
ROUNDING = 2**-22
"""Of sums and differences of a few float32 numbers below 1, each rounded by 2**-25 at most."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's files, and the small suite."""
    path = tmp_path_factory.mktemp("libraries")
    for name, text in FILES.items():
        (path / name).write_text(text)
    (path / "small.toml").write_text(small_suite(epochs=15))
    return path


def attack_class(folder: Path, name: str) -> Any:
    """The attack that a file of the page defines."""
    (found,) = [
        value
        for value in runpy.run_path(str(folder / name)).values()
        if isinstance(value, type) and "card" in vars(value)
    ]
    return found


# With steps that cross the ball from any start: the closed form asks for the whole of it.
ATTACKS: dict[str, dict[str, Any]] = {
    "my_torchattacks_pgd.py": {"steps": 4, "step_size": 4 / 255},
    "my_torchattacks_apgd.py": {"steps": 4},
    "my_foolbox_pgd.py": {"steps": 4, "rel_stepsize": 1.0},
    "my_art_pgd.py": {"steps": 4, "step_size": 4 / 255},
}


def test_every_file_is_short() -> None:
    assert sorted(FILES) == sorted(ATTACKS)
    lines = {name: len(text.splitlines()) for name, text in FILES.items()}
    assert max(lines.values()) <= 30, lines
    assert all(len(line) <= 100 for text in FILES.values() for line in text.splitlines())


@pytest.mark.parametrize("seeding", list(Seeding))
@pytest.mark.parametrize("name", FILES)
def test_at_a_linear_hash_it_ends_where_the_closed_form_says(
    folder: Path, name: str, seeding: Seeding
) -> None:
    """`sign(w.x + b)` has one worst point in the ball: `x - side * radius * sign(w)`."""
    case = linear(THRESHOLD)
    attack = attack_class(folder, name)(**ATTACKS[name], seeding=seeding)
    eps = Eps.parse(1.01 * THRESHOLD)
    trial = AttackStage(attack).call(case, eps=eps)
    side = case.known.center_codes[:, 0].view(-1, 1, 1, 1)
    weight = case.model.hash_layer.weight.view(1, *case.images.shape[1:]).float()
    worst = case.images - side * float(eps) * weight.detach().sign()
    assert float((trial.answer.detach() - worst).abs().max()) <= ROUNDING
    with torch.no_grad():
        flipped = (case.model.logits(trial.answer)[:, 0] >= 0) != (side.flatten() > 0)
    assert bool(flipped.all())


def test_apgd_leaves_alone_what_it_cannot_bring_to_another_class(folder: Path) -> None:
    """As the page says: within the threshold no bit flips, and the images come back."""
    case = linear(THRESHOLD)
    attack = attack_class(folder, "my_torchattacks_apgd.py")(steps=4)
    trial = AttackStage(attack).call(case, eps=Eps.parse(0.99 * THRESHOLD))
    assert torch.equal(trial.answer, case.images)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("my_torchattacks_pgd.py", 0),
        ("my_torchattacks_apgd.py", 2),
        ("my_foolbox_pgd.py", 1),
        ("my_art_pgd.py", 2),
    ],
)
def test_passes_are_its_steps_and_what_the_library_asks_beside_them(
    folder: Path, name: str, more: int
) -> None:
    attack = attack_class(folder, name)(steps=3)
    assert attack.passes() == 3 + more
    trial = AttackStage(attack).call(ordinary())
    count = len(trial.case.images)
    if "apgd" in name:  # it goes on with those alone that are classified rightly
        assert trial.forwards <= count * attack.passes()
    else:
        assert trial.forwards == count * attack.passes()


@pytest.mark.parametrize("name", FILES)
def test_per_query_it_leaves_every_generator_where_it_was(folder: Path, name: str) -> None:
    attack = attack_class(folder, name)(steps=2)
    assert attack.seeding is Seeding.QUERY
    assert AttackStage(attack).usual.touched == ()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_commands_in_their_order(folder: Path) -> None:
    output = ""
    for block in BLOCKS:
        lines = block.text.strip().split("\n")
        if block.language == "sh":
            output = "".join(told(line, folder) for line in lines)
        elif block.language == "text" and not block.text.startswith("pip install"):
            rest = iter(output.split("\n"))
            for line in lines:
                if line != "...":
                    assert any(found.startswith(line) for found in rest), (line, output)
    # The last command's table: every attack of the page, beside two of ours.
    words = set(output.split())
    assert {"auto", "pgd-hamming", "ta-pgd", "ta-apgd", "foolbox-pgd", "art-pgd"} <= words
    assert "batch-dependent-attack" not in output
    assert "FAILED" not in output


def told(line: str, folder: Path) -> str:
    """What a command of the page prints on standard output."""
    words = shlex.split(line)
    assert words[0] == "hashbench"
    if words[1] == "run":
        words.insert(2, "small.toml")
    done = subprocess.run(
        [sys.executable, "-P", "-m", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return done.stdout
