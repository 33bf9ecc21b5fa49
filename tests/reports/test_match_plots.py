"""Plots of matches: lines and the proven region are what the pictures say, and never cross."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashbench import plugins
from hashbench.plugins import Format
from hashbench.reports.matches.curves import Point, largest, panels
from hashbench.reports.matches.rows import Group, groups
from hashbench.results.cell import Status
from hashbench.results.matches.results import LEAST, MatchCell, MatchResult, MatchResults, Threat
from hashbench.testing import sample_matches as sample

Radii = list[tuple[float, float]]
RADII = st.floats(0, 16 / 255)


def group_of(pairs: Radii) -> Group:
    """One hash whose pictures have these proven and attacked radii."""

    def made(threat: Threat, attack: str, eps: np.ndarray) -> MatchResult:
        cell = MatchCell("h", attack, LEAST, sample.PICTURES, 0)
        return MatchResult(cell, threat, 64, 10, per_picture={"eps": eps})

    proven, attacked = np.array(pairs).T
    cells = (made(Threat.PROOF, "none", proven), made(Threat.EVASION, "evade", attacked))
    (found,) = groups(MatchResults(cells, {}))
    return found


def height(corners: tuple[Point, ...], eps: float) -> float:
    """Where a line of steps stands just behind a radius."""
    return max((share for at, share in corners if at <= eps), default=0.0)


@settings(max_examples=200)
@given(st.lists(st.tuples(RADII, RADII), min_size=1, max_size=30))
def test_no_line_enters_the_region_that_is_proven(pairs: Radii) -> None:
    sorted_pairs = [(min(pair), max(pair)) for pair in pairs]
    (panel,) = panels(group_of(sorted_pairs), Threat.EVASION)
    (curve,) = panel.curves
    if not panel.bound:
        assert all(proven == 0 for proven, _ in sorted_pairs)
        return
    for eps, _ in curve.steps:
        assert height(curve.steps, eps) <= height(panel.bound, eps)


@given(st.lists(RADII | st.just(math.inf), min_size=1, max_size=30), RADII)
def test_a_line_is_the_share_of_pictures_whose_radius_is_reached(
    eps: list[float], at: float
) -> None:
    found = panels(group_of([(0.0, one) for one in eps]), Threat.EVASION)
    expected = sum(one <= at for one in eps) / len(eps)
    steps = found[0].curves[0].steps if found else ()
    assert height(steps, at) == pytest.approx(expected, abs=1e-12)
    assert all(math.isfinite(x) for x, _ in steps)
    assert [x for x, _ in steps] == sorted(x for x, _ in steps)


def test_points_are_those_of_the_radii_that_were_asked_for() -> None:
    (group,) = groups(sample.ordinary())
    by_name = {panel.hash: panel for panel in panels(group, Threat.EVASION)}
    assert set(by_name) == {"dhash", "pdq"}
    assert by_name["pdq"].bound
    assert not by_name["dhash"].bound
    for panel in by_name.values():
        for curve in panel.curves:
            assert [eps * 255 for eps, _ in curve.points] == pytest.approx([1, 2, 4, 8])
            for eps, share in curve.points:
                assert height(curve.steps, eps) == share
    assert largest(by_name.values()) == 8 / 255


def test_what_failed_is_not_drawn() -> None:
    lost = replace(
        sample.ordinary(),
        cells=tuple(sample.lost(one, Status.FAILED, "") for one in sample.ordinary().cells),
    )
    (group,) = groups(lost)
    assert panels(group, Threat.EVASION) == ()
    plots = plugins.get("format", "plots")
    assert isinstance(plots, Format)
    assert plots.match_files(lost) == {}


@pytest.mark.slow
@pytest.mark.parametrize("made", [sample.ordinary, sample.several_sets, sample.foreign])
def test_every_set_has_its_pictures_and_the_same_bytes_twice(
    made: Callable[[], MatchResults],
) -> None:
    plots = plugins.get("format", "plots")
    assert isinstance(plots, Format)
    found = plots.match_files(made())
    assert found == plots.match_files(made())
    stems = {name.rpartition(".")[0] for name in found}
    assert len(found) == 2 * len(stems)
    for stem in stems:
        assert found[f"{stem}.png"].startswith(b"\x89PNG")
        ElementTree.fromstring(found[f"{stem}.svg"])  # noqa: S314 - ours  # noqa: S314 - ours
    kinds = [stem.rpartition("-")[2] for stem in stems]
    assert {"evasion", "collision", "innocent"} == set(kinds)


def test_a_folder_of_pictures_is_bounded() -> None:
    plots = plugins.get("format", "plots", most=1)
    assert isinstance(plots, Format)
    found = plots.match_files(sample.ordinary())
    assert sorted(found) == [
        "not-drawn.txt",
        "photographs-evasion.png",
        "photographs-evasion.svg",
    ]
    said = found["not-drawn.txt"].decode()
    assert said.startswith("1 pictures are drawn; these 2 are not.\nAll of them: ")
    assert "photographs-collision" in said
