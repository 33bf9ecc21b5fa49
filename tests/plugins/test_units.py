"""Units of parameters: declared in the types, and what `show` makes of them."""

from __future__ import annotations

import dataclasses
import io
import re
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from hashbench import plugins
from hashbench.cli.listing import _parameters, _written, print_plugin
from hashbench.coercion import coerce
from hashbench.console import TextConsole
from hashbench.plugins import PixelSize, Unit
from hashbench.plugins.base import Plugin
from hashbench.plugins.described import parameter_words
from hashbench.plugins.kinds import Kind
from hashbench.plugins.parameters import build, field_types, field_units
from hashbench.plugins.units import unit_of

SHIPPED = [(kind, name) for kind in Kind for name in plugins.names(kind)]


def plugin_named(kind: Kind, name: str) -> type[Plugin]:
    found: type[Plugin] = plugins.registry(kind).find(kind, name).plugin
    return found


def shown(kind: Kind, name: str) -> str:
    page = io.StringIO()
    print_plugin(TextConsole(file=page, width=1000), f"{kind}/{name}")
    return page.getvalue()


def defaults(plugin: type[Plugin]) -> dict[str, Any]:
    """Every parameter's default, `MISSING` where it has none."""
    if not dataclasses.is_dataclass(plugin):
        return {}
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(plugin)
    return {
        field.name: field.default
        if field.default_factory is dataclasses.MISSING
        else field.default_factory()
        for field in fields
        if field.init
    }


@dataclass(frozen=True)
class Measured(Plugin):
    step: PixelSize = 1 / 255
    reach: PixelSize | None = None
    rate: float = 1 / 255
    other: Annotated[float, "a note of another tool"] = 0.2


def test_a_type_declares_the_unit() -> None:
    assert field_units(Measured) == {"step": Unit.PIXELS, "reach": Unit.PIXELS}
    assert unit_of(PixelSize) is Unit.PIXELS
    assert [unit_of(kind) for kind in (float, int | None, Annotated[float, 1], "float")] == [
        None
    ] * 4
    # It is a float to everything else.
    assert field_types(Measured) == {
        "step": float,
        "reach": float | None,
        "rate": float,
        "other": float,
    }


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1 / 255, Unit.PIXELS, "1/255"),
        (2 / 255, Unit.PIXELS, "2/255"),
        (-3 / 255, Unit.PIXELS, "-3/255"),
        (0.2, Unit.PIXELS, "51/255"),
        (0.01, Unit.PIXELS, "0.01"),
        (0.0, Unit.PIXELS, "0.0"),
        (1.0, Unit.PIXELS, "1.0"),
        (None, Unit.PIXELS, "none"),
        ("2/255", Unit.PIXELS, "2/255"),
        (0.2, None, "0.2"),
        (100.0, None, "100.0"),
        (1 / 255, None, str(1 / 255)),
        (False, None, "false"),
        (None, None, "none"),
    ],
)
def test_only_pixels_are_written_as_steps(value: Any, unit: Unit | None, text: str) -> None:
    assert _written(value, unit) == text


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_what_show_says_of_a_value_gives_that_value(kind: Kind, name: str) -> None:
    plugin = plugin_named(kind, name)
    types, units = field_types(plugin), field_units(plugin)
    fields = defaults(plugin)
    rows = {row[0]: row[2] for row in _parameters(plugin)}
    assert set(rows) == set(fields) == set(types)
    for parameter, text in rows.items():
        if fields[parameter] is dataclasses.MISSING:
            assert text == "required"
        elif text not in ("", "()"):  # no text and no list are not typed
            assert coerce(text, types[parameter], "test") == fields[parameter], parameter
        assert units.get(parameter) is Unit.PIXELS or "/" not in text, parameter
    for values in plugin.card.presets.values():
        said = {key: _written(value, units.get(key)) for key, value in values.items()}
        assert build(plugin, said) == build(plugin, values)
        for key, text in said.items():
            assert f"{key}={text}" in shown(kind, name)
            assert units.get(key) is Unit.PIXELS or key == "eps" or "/" not in text, key


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_every_number_in_pixels_is_declared_as_such_and_no_other(kind: Kind, name: str) -> None:
    plugin = plugin_named(kind, name)
    words = parameter_words(plugin)
    numbers = {key for key, type_ in field_types(plugin).items() if type_ in (float, float | None)}
    told = {key for key in numbers if re.search(r"\bpixels?\b", words[key])}
    assert told == set(field_units(plugin))


def test_show_writes_rates_as_numbers_and_steps_as_fractions() -> None:
    assert re.search(r"learning_rate +number +100\.0 ", shown(Kind.ATTACK, "hag"))
    assert re.search(r"step_size +number +1/255 ", shown(Kind.ATTACK, "pgd-hamming"))
    assert "pgd-hamming@inner: steps=7, step_size=2/255" in shown(Kind.ATTACK, "pgd-hamming")
    assert re.search(r"hashing +number +5\.0 ", shown(Kind.ATTACK, "pros-gan"))
