"""The registry and its suggestions: names, doubles, broken ones, and the nearest right name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from hashbench import UsageError, plugins
from hashbench.plugins import Attack, Kind, Plugin, attack
from hashbench.plugins.registered import Broken, Origin, Registry
from hashbench.suggestions import MOST_NAMED, NEAREST, did_you_mean

HERE = Origin("one-package", "1.0", "one.module")
THERE = Origin("other-package", "2.1", "other.module")


def probe(name: str = "probe") -> type[Plugin]:
    class Probe(Attack):
        """Does nothing."""

        @override
        def perturb(self, model: Any, images: Any, goal: Any, threat: Any, rng: Any) -> Any:
            return images

    return attack(name)(Probe)


def test_two_plugins_of_one_name_are_an_error_that_names_both() -> None:
    registry = Registry()
    registry.add(probe(), HERE)
    registry.add(probe(), THERE)
    with pytest.raises(UsageError) as raised:
        registry.find(Kind.ATTACK, "probe")
    assert str(raised.value) == (
        "two plugins are called attack 'probe': one-package 1.0 (one.module) and other-package 2.1 "
        "(other.module); uninstall or rename one"
    )
    assert registry.names(Kind.ATTACK) == ("probe",)


def test_the_same_class_from_two_entry_points_counts_once() -> None:
    registry = Registry()
    plugin = probe()
    registry.add(plugin, HERE)
    registry.add(plugin, THERE)
    assert registry.find(Kind.ATTACK, "probe").plugin is plugin
    assert registry.find(Kind.ATTACK, "probe").origin == HERE


def test_one_name_may_serve_two_kinds() -> None:
    registry = plugins.registry()
    assert registry.find(Kind.DEFENSE, "none").plugin.card.kind is Kind.DEFENSE
    with pytest.raises(UsageError, match="there is no attack 'none'"):
        registry.find(Kind.ATTACK, "none")


def test_forgetting_one_place_leaves_the_others() -> None:
    registry = Registry()
    registry.add(probe("left"), HERE)
    registry.add(probe("right"), THERE)
    registry.add(probe("both"), HERE)
    registry.add(probe("both"), THERE)
    registry.broken += [Broken(None, "x", HERE, "", ""), Broken(None, "y", THERE, "", "")]
    registry.forget(HERE.source)
    assert registry.names(Kind.ATTACK) == ("both", "right")
    assert registry.find(Kind.ATTACK, "both").origin == THERE
    assert [broken.name for broken in registry.broken] == ["y"]


def test_a_broken_one_is_told_from_an_unknown_one() -> None:
    registry = Registry()
    registry.add(probe("sound"), HERE)
    registry.broken.append(Broken(Kind.ATTACK, "cracked", THERE, "ImportError: no such thing", ""))
    with pytest.raises(UsageError) as raised:
        registry.find(Kind.ATTACK, "cracked")
    assert str(raised.value) == (
        "attack 'cracked' of other-package 2.1 (other.module) is broken: ImportError: no such "
        "thing ('hashbench plugins --verbose' shows where)"
    )
    with pytest.raises(UsageError, match="there is no defense 'cracked'"):
        registry.find(Kind.DEFENSE, "cracked")
    # One of the same name that works is not hidden by a broken one.
    registry.add(probe("cracked"), HERE)
    assert registry.find(Kind.ATTACK, "cracked").origin == HERE


def test_an_empty_registry_suggests_nothing() -> None:
    with pytest.raises(UsageError) as raised:
        Registry().find(Kind.ATTACK, "probe")
    assert str(raised.value) == "there is no attack 'probe'"


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("pgd-haming", "pgd-hamming"),
        ("pgdhamming", "pgd-hamming"),
        ("PGD-Hamming", "pgd-hamming"),
        ("pgd", "pgd-hamming"),
        ("hga", "hag"),
        ("shda", "sdha"),
        ("nois", "noise"),
    ],
)
def test_the_nearest_name_is_named(wrong: str, nearest: str) -> None:
    with pytest.raises(UsageError) as raised:
        plugins.get("attack", wrong)
    message = str(raised.value)
    assert message.startswith(f"there is no attack '{wrong}'; did you mean '{nearest}'? known: ")
    for name in plugins.names("attack"):
        assert name in message


def test_nothing_near_still_lists_what_there_is() -> None:
    assert did_you_mean("zzzzzz", ["cgat", "atrdh"]) == "; known: atrdh, cgat"
    assert did_you_mean("", ["cgat"]) == "; known: cgat"


@given(
    st.lists(st.text("abc-", min_size=1), min_size=1, max_size=40, unique=True),
    st.text(max_size=8),
)
def test_a_suggestion_is_always_something_right(right: list[str], wrong: str) -> None:
    clause = did_you_mean(wrong, right)
    _, _, listed = clause.partition("known: ")
    names, _, more = listed.partition(" and ")
    if len(right) <= MOST_NAMED:
        assert listed == ", ".join(sorted(right))
    else:  # a screen of names helps nobody
        assert set(names.split(", ")) <= set(right)
        assert len(names.split(", ")) == NEAREST
        assert more == f"{len(right) - NEAREST} more"
    if "did you mean" in clause:
        assert clause.split("'")[1] in right
    for name in right:  # what is right in all but case is always recognised
        assert f"did you mean '{name}'?" in did_you_mean(name.upper(), right)


@pytest.mark.parametrize("kind", list(Kind))
def test_kinds_go_by_singular_plural_and_group(kind: Kind) -> None:
    assert Kind(kind.value) is kind
    assert Kind(kind.plural) is kind
    assert kind.group == f"hashbench.{kind.plural}"
    assert plugins.names(kind) == plugins.names(kind.plural) == plugins.names(kind.value)


def test_plurals_are_english() -> None:
    assert [kind.plural for kind in Kind] == [
        "attacks",
        "defenses",
        "losses",
        "backbones",
        "datasets",
        "formats",
        "hashers",
    ]


@pytest.mark.parametrize(("wrong", "right"), [("atack", "attack"), ("Losses", "loss")])
def test_an_unknown_kind_names_the_nearest(wrong: str, right: str) -> None:
    for ask in (lambda: plugins.names(wrong), lambda: plugins.get(wrong, "hag")):
        with pytest.raises(
            UsageError, match=f"no kind of plugin '{wrong}'; did you mean '{right}'"
        ):
            ask()


@pytest.mark.parametrize("name", ["PGD", "a_b", "-a", "a-", "a--b", "", "a b", "a:b", "a@b", "ä"])
def test_names_are_checked_when_they_are_given(name: str) -> None:
    with pytest.raises(UsageError, match="use small letters, digits and single hyphens"):
        attack(name)


def test_the_card_is_the_class_in_short() -> None:
    card = plugins.get("attack", "pgd-hamming").card
    assert (card.kind, card.name, card.access) == (
        Kind.ATTACK,
        "pgd-hamming",
        plugins.Access.GRADIENT,
    )
    assert card.knowledge == {plugins.Knowledge.LABELS, plugins.Knowledge.TRAINING}
    assert card.summary.endswith("center code by projected gradient descent.")
    assert plugins.get("attack", "hag").card.knowledge == frozenset()


def test_every_plugin_that_ships_loads_and_has_a_summary() -> None:
    registry = plugins.registry()
    assert not [broken for broken in registry.broken if broken.origin.source == "hashbench"]
    ours = [
        entry.plugin
        for entries in registry.entries.values()
        for entry in entries
        if entry.origin.source == "hashbench"
    ]
    assert len(ours) >= 16
    assert {plugin.card.kind for plugin in ours} == set(Kind)
    for plugin in ours:
        assert plugin.card.summary.endswith("."), plugin
