"""A suite with an attack whose steps cannot reach the radius, from the plan to the texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hashbench import UsageError, plugins
from hashbench.results.contract import Format
from hashbench.results.load import load_results
from hashbench.runner.plan import make_plan
from hashbench.runner.run import run
from hashbench.runner.suite import Suite

TinySuite = Callable[..., Suite]

OUTSIDER = """
from dataclasses import dataclass
from hashbench.plugins import Attack, attack

@attack("outsider")
@dataclass(frozen=True)
class Outsider(Attack):
    steps: int = 3
    step_size: float = 2 / 255

    def perturb(self, model, images, goal, threat, rng):
        return images

@attack("liar")
@dataclass(frozen=True)
class Liar(Outsider):
    def reach_of_steps(self, radius, images):
        return "far"

@attack("raiser")
@dataclass(frozen=True)
class Raiser(Outsider):
    def reach_of_steps(self, radius, images):
        raise ValueError("no idea")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "outsider.py"
    path.write_text(OUTSIDER)
    return path


def test_both_texts_say_which_attacks_cannot_reach_the_radius(
    tiny_suite: TinySuite, tmp_path: Path, file: Path
) -> None:
    attacks = ["noise", "pgd-hamming:steps=10", "pgd-hamming", "p2p@sigir", "outsider"]
    run(tiny_suite(attack=attacks, plugin=[file]), out=tmp_path)
    results = load_results(tmp_path)
    for name in ("terminal", "markdown"):
        form = plugins.get("format", name)
        assert isinstance(form, Format)
        text = " ".join(form.render(results, width=300).split())
        assert text.count("cannot reach the radius") == 3
        assert (
            "pgd-hamming:steps=10 on none cannot reach the radius: its 10 steps move a pixel by "
            "10/255 at most, and 24/255 is allowed." in text
        )
        assert "outsider on none cannot reach the radius: its 3 steps move a pixel by 6/255" in text


@pytest.mark.parametrize(
    ("attack", "sentence"),
    [
        ("liar", r"'liar': its method reach_of_steps\(\) returns 'far', expected a number"),
        ("raiser", r"'raiser': its method reach_of_steps\(\) raises ValueError: no idea"),
    ],
)
def test_an_answer_that_is_none_is_refused_with_the_plan(
    tiny_suite: TinySuite, file: Path, attack: str, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        make_plan(tiny_suite(attack=attack, plugin=[file]))
