"""Looks: a name has its colour in every figure and run, and no two series of one look alike."""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import random
from typing import Any

import pytest

from hashbench import plugins
from hashbench.reports.plots.looks import (
    ATTACKS,
    DASHES,
    DEFENSES,
    HATCHES,
    MARKERS,
    SLOTS,
    attack_looks,
    clean_look,
    contrast,
    defense_looks,
    luminance,
    slots,
    worst_look,
)
from hashbench.reports.plots.style import DARK, LIGHT, Theme

SHIPPED = sorted(ATTACKS)


def test_there_are_as_many_looks_of_every_kind() -> None:
    assert len(set(DASHES)) == len(set(HATCHES)) == SLOTS
    pairs = {(slot % 8, MARKERS[slot % len(MARKERS)]) for slot in range(SLOTS)}
    assert len(pairs) == SLOTS


def test_every_attack_and_defense_that_ships_has_its_own() -> None:
    own = {"hashbench.attacks": {*ATTACKS, "noise"}, "hashbench.defenses": set(DEFENSES)}
    kinds = {"hashbench.attacks": "attack", "hashbench.defenses": "defense"}
    for group, names in own.items():
        points = importlib.metadata.entry_points(group=group)
        shipped = {p.name for p in points if p.value.startswith(f"{group}.")} - {"controls"}
        assert shipped <= names
        assert names <= set(plugins.names(plugins.Kind(kinds[group])))
    for table in (ATTACKS, DEFENSES):
        assert len(set(table.values())) == len(table)
        assert all(0 <= slot < SLOTS for slot in table.values())


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_shipped_attack_looks_the_same_beside_any_others(theme: Theme) -> None:
    alone = {name: attack_looks([name], theme)[name] for name in SHIPPED}
    draw = random.Random(0)
    for _ in range(50):
        some = draw.sample([*SHIPPED, "mine", "yours:steps=3", "hag:steps=20"], 9)
        found = attack_looks(some, theme)
        for name in some:
            if name in alone and not (name == "hag" and "hag:steps=20" in some):
                assert found[name] == alone[name]


def test_a_foreign_attack_keeps_its_colour_unless_it_is_taken() -> None:
    mine = attack_looks(["mine"])["mine"]
    for other in SHIPPED:
        beside = attack_looks(["mine", other])
        if attack_looks([other])[other].color != mine.color:
            assert beside["mine"] == mine
        else:
            assert beside["mine"].color != beside[other].color
    # As the docstring says it: the first eight bytes of SHA-256, modulo the number of looks.
    digits = hashlib.sha256(b"mine").hexdigest()[:16]
    assert slots(["mine"], {}) == {"mine": int(digits, 16) % SLOTS} == {"mine": mine.slot}


def test_variants_of_an_attack_share_its_hue() -> None:
    found = attack_looks(["hag:steps=20", "hag", "sdha", "hag:steps=5", "auto"])
    hues = {found[name].color for name in ("hag", "hag:steps=20", "hag:steps=5")}
    assert hues == {attack_looks(["hag"])["hag"].color}
    assert found["hag"] == attack_looks(["hag"])["hag"]
    assert len({look.dash for look in found.values()}) == 5
    alone = attack_looks(["hag:steps=20"])["hag:steps=20"]
    assert alone == attack_looks(["hag"])["hag"]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_no_two_series_of_a_figure_look_alike_in_grey(theme: Theme) -> None:
    """Up to 23 attacks beside clean queries, the control and the worst case."""
    names = [*SHIPPED, *(f"other-{n}" for n in range(23 - len(SHIPPED))), "noise"]
    looks = [clean_look(theme), *attack_looks(names, theme).values(), worst_look(theme)]
    for one, other in itertools.combinations(looks, 2):
        if one.hatch == other.hatch:  # the two plain ones: clean queries and the control
            assert contrast(one.color, other.color) > 1.5
        assert (one.color, one.marker) != (other.color, other.marker)
    lines = [look for look in looks if look != worst_look(theme)]
    assert len({look.dash for look in lines}) == len(lines)
    for look in looks:
        if look.hatch:
            assert contrast(look.color, look.strokes) > 4
        if look != worst_look(theme):
            assert contrast(look.color, theme.page) > 2


def test_defenses_are_told_apart_as_well() -> None:
    found = defense_looks([*DEFENSES, *(f"d{n}:epochs=3" for n in range(12))])
    assert len({(look.color, look.marker) for look in found.values()}) == 24
    many = defense_looks([f"d{n}" for n in range(100)])  # past 24 they repeat, and nothing breaks
    assert len(many) == 100


def test_luminance_is_that_of_wcag() -> None:
    assert luminance("#000000") == 0
    assert luminance("#ffffff") == pytest.approx(1, abs=1e-12)
    assert contrast("#000000", "#ffffff") == pytest.approx(21, abs=1e-9)
    assert luminance("#ff0000") == pytest.approx(0.2126, abs=1e-12)


def test_a_name_that_is_no_letters_has_a_look() -> None:
    odd: list[Any] = ["\ud800", "", ":", "x" * 300]
    assert len(attack_looks(odd)) == 4
