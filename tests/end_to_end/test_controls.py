"""Each control raises its flags, on real pictures and through the runner; the honest model none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

import hashbench
from hashbench.results.flags import Code
from hashbench.results.results import Results
from hashbench.runner.suite import compose

WANTED: Mapping[str, frozenset[Code]] = {
    "none": frozenset(),
    "control-scaled": frozenset(
        {Code.ZERO_GRADIENTS, Code.SATURATED_OUTPUTS, Code.UNBOUNDED_EPS_STOPS_SHORT}
    ),
    "control-random": frozenset({Code.STOCHASTIC_CODES}),
    "control-quantised": frozenset({Code.ZERO_GRADIENTS, Code.UNBOUNDED_EPS_STOPS_SHORT}),
    "control-collapsed": frozenset(
        {Code.CLEAN_AT_CHANCE, Code.COLLAPSED_CODES, Code.ROBUST_AT_CHANCE}
    ),
    "control-order": frozenset({Code.STOCHASTIC_CODES, Code.ZERO_GRADIENTS}),
}

MAY: Mapping[str, frozenset[Code]] = {
    "control-quantised": frozenset({Code.NOISE_BEATS_WHITE_BOX}),
}
"""An attack without gradients stays at its random start, which is noise of its own: of two draws of
noise either may leave less."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The suite `controls` with fewer steps."""
    suite = compose("controls", {"attack": ["noise", "pgd-hamming:steps=30"]})
    found = hashbench.run(suite, out=Path(tmp_path_factory.mktemp("controls")))
    assert not found.failed
    return found


@pytest.mark.parametrize("defense", list(WANTED))
def test_a_control_raises_its_flags_and_no_other(results: Results, defense: str) -> None:
    raised = {
        flag.code
        for cell, flags in results.flags.items()
        if cell.defense == defense
        for flag in flags
    }
    assert raised - MAY.get(defense, frozenset()) == WANTED[defense]


def test_flags_stand_in_the_csv(results: Results) -> None:
    frame = results.to_frame()
    rows = frame[frame["metric"].str.startswith("flag(")]
    assert set(rows["attack"]) == {"worst-case"}
    assert set(rows["value"]) == {1.0}
    found = set(zip(rows["defense"], rows["metric"], strict=True))
    may = {(name, f"flag({code})") for name, codes in MAY.items() for code in codes}
    wanted = {(name, f"flag({code})") for name, codes in WANTED.items() for code in codes}
    assert found - may == wanted
