"""Specifications: what a user types, its canonical text, presets; text and plugin are one thing."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from hashbench import UsageError, plugins
from hashbench.plugins import Attack, Spec, attack
from hashbench.plugins.parameters import build, canonical, resolved


class Mode(StrEnum):
    FAST = "fast"
    NONE_TOO_FAST = "none-too-fast"


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("hag", Spec("hag")),
        ("  hag ", Spec("hag")),
        ("hag@published", Spec("hag", "published")),
        ("hag:steps=20", Spec("hag", None, (("steps", "20"),))),
        (
            "hag@published:steps=20,learning-rate = 1/2",
            Spec("hag", "published", (("steps", "20"), ("learning_rate", "1/2"))),
        ),
        ("x:rule=a=b", Spec("x", None, (("rule", "a=b"),))),
        ("x:path=a:b@c", Spec("x", None, (("path", "a:b@c"),))),
    ],
)
def test_parsing(text: str, spec: Spec) -> None:
    assert Spec.parse(text) == spec
    assert Spec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    "text", ["", "  ", ":steps=2", "@p", "hag@", "hag:", "hag@:steps=2", "hag@p:", "@p:steps=2"]
)
def test_a_text_without_the_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write NAME, NAME@PRESET or NAME:key=value,key=value"):
        Spec.parse(text)


@pytest.mark.parametrize("part", ["=2", "steps=", "", " ", " =2"])
def test_a_part_without_the_form_is_named(part: str) -> None:
    text = f"hag:alpha=constant,{part},steps=2"
    with pytest.raises(UsageError) as raised:
        Spec.parse(text)
    assert str(raised.value) == f"'{text}': '{part}' is not of the form key=value"


@pytest.mark.parametrize(
    ("text", "part", "write"),
    [
        ("certified:quick", "quick", "certified@quick"),
        ("certified: quick ", "quick", "certified@quick"),
        ("certified:epochs=3,quick", "quick", "certified@quick:epochs=3"),
        ("bit-depth:squeeze-1,bits=2", "squeeze-1", "bit-depth@squeeze-1:bits=2"),
    ],
)
def test_a_word_among_the_parameters_may_be_a_preset(text: str, part: str, write: str) -> None:
    with pytest.raises(UsageError) as raised:
        Spec.parse(text)
    said = str(raised.value)
    assert "is not of the form key=value" in said
    assert said.endswith(f"; if '{part}' is a preset, write {write}")
    if part in plugins.get("defense", write.partition(":")[0]).card.presets:
        plugins.get("defense", write)


@pytest.mark.parametrize("text", ["certified@quick:full", "certified:a b", "certified:~/x", "n:="])
def test_what_cannot_be_a_preset_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        Spec.parse(text)
    assert str(raised.value).endswith("is not of the form key=value")


def test_a_repeated_key_is_refused() -> None:
    with pytest.raises(UsageError, match="'steps' is given twice"):
        Spec.parse("hag:steps=2,steps=3")
    with pytest.raises(UsageError, match="'learning_rate' is given twice"):
        Spec.parse("hag:learning-rate=2,learning_rate=2")


def test_tables() -> None:
    assert Spec.from_table({"name": "hag", "steps": 20}) == Spec("hag", None, (("steps", 20),))
    assert Spec.from_table({"name": "hag@published"}) == Spec("hag", "published")
    assert Spec.from_table({"name": "hag:steps=2", "alpha": "constant"}).given == (
        ("steps", "2"),
        ("alpha", "constant"),
    )
    with pytest.raises(UsageError, match="'steps' is given twice"):
        Spec.from_table({"name": "hag:steps=2", "steps": 3})
    for nameless in ({}, {"name": 3}, {"nam": "hag"}):
        with pytest.raises(UsageError, match="a plugin table needs a name"):
            Spec.from_table(nameless)


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, [], {}])
def test_a_table_holds_one_value_per_parameter(value: Any) -> None:
    with pytest.raises(UsageError, match="'steps'"):
        Spec.from_table({"name": "hag", "steps": value})


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"name": "pgd-hamming", "steps": 20}, "pgd-hamming:steps=20"),
        ({"name": "pgd-hamming", "random_start": False}, "pgd-hamming:random_start=false"),
        ({"name": "pgd-hamming", "step_size": 1e-05}, "pgd-hamming:step_size=1e-05"),
        ({"name": "pgd-hamming", "step_size": "2/255"}, "pgd-hamming:step_size=2/255"),
        ({"name": "hag@published", "alpha": "constant"}, "hag@published:alpha=constant"),
    ],
)
def test_table_and_text_build_the_same(table: dict[str, Any], text: str) -> None:
    """What a worker process is told is the text of what the suite's table said."""
    spec = Spec.from_table(table)
    assert str(spec) == text
    plugin = plugins.registry().find(plugins.Kind.ATTACK, spec.name).plugin
    assert build(plugin, dict(spec.given), spec.preset) == plugins.get("attack", str(spec))


def test_presets_come_before_what_is_given() -> None:
    published = plugins.get("attack", "sdha@published")
    assert published == plugins.get("attack", "sdha", steps=1500)
    assert plugins.get("attack", "sdha@published:steps=5") == plugins.get("attack", "sdha", steps=5)
    assert plugins.get("attack", "hag:steps=7", steps=8) == plugins.get("attack", "hag:steps=8")
    # What is at its default is no part of the canonical text, however it came there.
    assert canonical(plugins.get("attack", "sdha@published:steps=100")) == "sdha"
    assert canonical(published) == "sdha:steps=1500"


def test_every_preset_that_ships_can_be_built() -> None:
    for (kind, name), entries in plugins.registry().entries.items():
        for preset in entries[0].plugin.card.presets:
            plugin = plugins.get(kind, f"{name}@{preset}")
            assert plugins.get(kind, canonical(plugin)) == plugin


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hag@publishd", "attack 'hag' has no preset 'publishd'; did you mean 'published'?"),
        ("noise@published", "attack 'noise' has no preset 'published', and no preset at all"),
        ("hag:step=2", "attack 'hag' has no parameter 'step'; did you mean 'steps'?"),
        ("noise:steps=2", "attack 'noise' has no parameter 'steps': it takes none"),
    ],
)
def test_unknown_presets_and_parameters_name_the_nearest(text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        plugins.get("attack", text)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("sdha:preset=published", "; a preset is written sdha@published"),
        ("sdha:published=true", "; a preset is written sdha@published"),
        ("sdha:preset=quick", "; a preset is written sdha@NAME, and NAME is one of {presets}"),
        ("noise:preset=published", "'preset': it takes none, and no preset"),
        ("smooth-ap:preset=published", "has no parameter 'preset', and no preset"),
    ],
)
def test_a_preset_that_is_given_as_a_parameter_is_told_how_to_be_written(
    text: str, end: str
) -> None:
    presets = ", ".join(plugins.get("attack", "sdha").card.presets)
    with pytest.raises(UsageError) as raised:
        plugins.get("attack", text)
    assert str(raised.value).endswith(end.format(presets=presets))


def test_a_table_may_not_hold_a_preset_beside_its_name() -> None:
    spec = Spec.from_table({"name": "sdha", "preset": 7})
    with pytest.raises(UsageError, match="a preset is written sdha@NAME"):
        plugins.get("attack", str(spec))


TEXTS = (
    st.text(st.characters(codec="utf-8", exclude_characters=",", exclude_categories=["Cc", "Zs"]))
    .filter(lambda text: bool(text) and text == text.strip() and "\n" not in text)
    .filter(lambda text: text != "none")
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
FRACTIONS = st.fractions(0, 1)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(),
    float: FLOATS,
    bool: st.booleans(),
    str: TEXTS,
    Mode: st.sampled_from(Mode),
    plugins.Access: st.sampled_from(plugins.Access),
    int | None: st.none() | st.integers(),
    float | None: st.none() | FLOATS,
    bool | None: st.none() | st.booleans(),
    str | None: st.none() | TEXTS,
}


@st.composite
def plugins_with_values(draw: st.DrawFn) -> tuple[type[Attack], dict[str, Any]]:
    """A dataclass of random parameters with random defaults, and random values for some of them."""
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), max_size=6))
    fields = [
        (f"p{i}", kind, dataclasses.field(default=draw(VALUES[kind])))
        for i, kind in enumerate(kinds)
    ]
    cls = dataclasses.make_dataclass(
        "Probe",
        fields,
        bases=(Attack,),
        namespace={"perturb": lambda self, *_: self},
        frozen=True,
    )
    values = {name: draw(VALUES[kind]) for name, kind, _ in fields if draw(st.booleans())}
    return attack("probe")(cls), values


@given(plugins_with_values())
def test_the_canonical_text_builds_the_plugin_again(
    case: tuple[type[Attack], dict[str, Any]],
) -> None:
    plugin, values = case
    built = build(plugin, values)
    assert {name: getattr(built, name) for name in values} == values
    text = canonical(built)
    spec = Spec.parse(text)
    assert str(spec) == text
    again = build(plugin, dict(spec.given), spec.preset)
    assert again == built
    assert canonical(again) == text
    assert resolved(again) == resolved(built)
    # Only what differs from the default is named.
    defaults = plugin()
    changed = {name for name in values if getattr(defaults, name) != values[name]}
    assert {key for key, _ in spec.given} == changed


@given(plugins_with_values())
def test_values_written_as_text_are_the_same_values(
    case: tuple[type[Attack], dict[str, Any]],
) -> None:
    plugin, values = case
    written = {name: spell(value) for name, value in values.items()}
    assert build(plugin, written) == build(plugin, values)


def spell(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case float():
            return str(Fraction(value))
        case _:
            return str(value)


@pytest.mark.parametrize("text", ["a,b", "", " a", "a ", ","])
def test_a_text_that_could_not_be_written_is_refused(text: str) -> None:
    """`name:key=value,key=value` cannot hold it: the plan would not reach a worker process."""

    @attack("probe")
    @dataclasses.dataclass(frozen=True)
    class Probe(Attack):
        rule: str = "x"

        @override
        def perturb(self, model: Any, images: Any, goal: Any, threat: Any, rng: Any) -> Any:
            return images

    with pytest.raises(UsageError, match="attack 'probe', parameter 'rule'"):
        build(Probe, {"rule": text})
