"""Runs whose attacked images are scored in whole pixels: another protocol, the same models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typing_extensions import override

from hashbench.data import PixelValues
from hashbench.errors import UsageError
from hashbench.hashing.checkpoint import read_card
from hashbench.plugins import Format, get
from hashbench.results.cell import CLEAN
from hashbench.results.load import load_results
from hashbench.results.results import Results
from hashbench.runner.evaluation_steps import AdversarialCodes, Scores
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import run
from hashbench.runner.steps import Step
from hashbench.runner.suite import GivenModels, Suite, from_plain
from hashbench.zoo.models import export_model

TinySuite = Callable[..., Suite]
ATTACKS = ["noise", "pgd-hamming:steps=4"]


class Made(Reporter):
    """Keeps what was made."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    @override
    def started(self, step: Step) -> None:
        self.steps.append(step)


def precisions(results: Results) -> dict[str, np.ndarray]:
    return {result.cell.attack: result.per_query for result in results.cells}


def test_of_less_than_a_255th_nothing_is_left(tiny_suite: TinySuite, tmp_path: Path) -> None:
    attack = [
        *ATTACKS,
        "transfer:steps=3",
        "universal:epochs=1",
        "random-search:queries=20",
        "dhta",
    ]
    suite = tiny_suite(attack=attack, eps="1/510", pixels="8bit")
    results = run(suite, out=tmp_path)
    assert not results.failed
    found = precisions(results)
    assert len(found) == 1 + len(attack)
    for name, values in found.items():
        assert np.array_equal(values, found[CLEAN]), name


def test_two_protocols_in_one_folder_share_models_and_no_table(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    made = Made()
    free = run(tiny_suite(attack=ATTACKS, defense=["none", "cgat"]), out=tmp_path)
    whole = run(
        tiny_suite(attack=ATTACKS, defense=["none", "cgat"], pixels="8bit"),
        out=tmp_path,
        reporter=made,
    )
    # Nothing but what attacked images are part of.
    assert {type(step) for step in made.steps} == {AdversarialCodes, Scores}
    assert all(step.adversarial for step in made.steps if isinstance(step, Scores))
    (card,), (other,) = free.protocols.values(), whole.protocols.values()
    assert replace(other, pixels="float") == card == other.unattacked
    assert (card.pixels, other.pixels) == (PixelValues.FLOAT, PixelValues.EIGHT_BIT)
    assert "pixels" not in card.to_plain()
    clean = [next(r for r in one.cells if r.cell.attack == CLEAN) for one in (free, whole)]
    assert clean[0].metrics == clean[1].metrics
    both = load_results(tmp_path)
    assert len(both.cells) == len(free.cells) + len(whole.cells)
    text = _text(both)
    assert text.count("pixels 8bit\n") == 1
    assert text.count("whole pixels of 8 bits") == 1
    assert f"Protocol {other.hash[:8]}" in text


def _text(results: Results) -> str:
    markdown = get("format", "markdown")
    assert isinstance(markdown, Format)
    return markdown.render(results)


@pytest.mark.parametrize("first", ["float", "8bit"])
def test_a_model_of_either_is_taken_under_both(
    tiny_suite: TinySuite, tmp_path: Path, first: str
) -> None:
    suite = tiny_suite(attack=ATTACKS, pixels=first)
    made = run(suite, out=tmp_path / "made")
    export_model(tmp_path / "made", tmp_path / "model", {})
    card = read_card(tmp_path / "model")
    assert "pixels" not in card.protocol_card
    assert card.protocol == next(iter(made.protocols.values())).unattacked.hash
    given = replace(suite, models=GivenModels((tmp_path / "model",)))
    found = run(given, out=tmp_path / "found")
    assert list(found.protocols) == list(made.protocols)
    assert precisions(found).keys() == precisions(made).keys()
    for name, values in precisions(made).items():
        assert np.array_equal(precisions(found)[name], values)
    for pixels in ("float", "8bit"):
        assert not run(replace(given, pixels=pixels), out=tmp_path / "found").failed


def test_a_model_that_was_attacked_under_two_protocols_is_exported_as_one(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    for pixels in ("float", "8bit"):
        run(tiny_suite(attack=ATTACKS, pixels=pixels), out=tmp_path / "made")
    assert export_model(tmp_path / "made", tmp_path / "model", {}).defense == "none"


@pytest.mark.parametrize("word", ["8", "uint8", "float32", "8BIT", ""])
def test_another_word_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="expected float or 8bit"):
        from_plain({"pixels": word}, "the suite")


def test_a_suite_says_it_and_keeps_it() -> None:
    suite = from_plain({"pixels": "8bit"}, "the suite")
    assert suite.pixels == "8bit"
    assert from_plain(suite.to_plain(), "again") == suite
    assert from_plain({}, "the suite").pixels == "float"
