"""Values, read as the field's type; every error names plugin, parameter and expectation."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from hashbench import Eps, UsageError, plugins
from hashbench.coercion import coerce
from hashbench.plugins import Attack, Spec, attack
from hashbench.plugins.parameters import build, canonical, field_types, plain, resolved


class Speed(StrEnum):
    SLOW = "slow"
    FAST = "fast"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Ratio(Enum):
    HALF = 0.5
    FULL = 1.0


EIGHT = Eps.parse("8/255")


@attack("probe", presets={"strong": {"steps": "2000", "eps": "16/255"}, "wrong": {"stepz": 1}})
@dataclass(frozen=True)
class Probe(Attack):
    """One parameter of every type."""

    steps: int = 10
    size: float = 0.5
    random: bool = True
    rule: str = "plain"
    speed: Speed = Speed.SLOW
    level: Level = Level.LOW
    eps: Eps = EIGHT
    epochs: int | None = None
    radius: Eps | None = None
    pace: Speed | None = None
    flag: bool | None = None

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise UsageError(f"steps must be 0 or more, found {self.steps}")
        if self.size > 100:
            raise ValueError("size is far too large")

    @override
    def perturb(self, model: Any, images: Any, goal: Any, threat: Any, rng: Any) -> Any:
        return images


def message_of(**values: Any) -> str:
    with pytest.raises(UsageError) as raised:
        build(Probe, values)
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "given_value", "value"),
    [
        ("steps", "20", 20),
        ("steps", " 20 ", 20),
        ("steps", "1e3", 1000),
        ("steps", 20.0, 20),
        ("steps", "40/2", 20),
        ("size", "1/255", 1 / 255),
        ("size", "1 / 255", 1 / 255),
        ("size", "0.1", 0.1),
        ("size", "-2.5e-3", -2.5e-3),
        ("size", 3, 3.0),
        ("size", Fraction(1, 3), 1 / 3),
        ("random", "true", True),
        ("random", "false", False),
        ("random", False, False),
        ("rule", "a b=c", "a b=c"),
        ("speed", "fast", Speed.FAST),
        ("speed", Speed.FAST, Speed.FAST),
        ("level", 2, Level.HIGH),
        ("level", "2", Level.HIGH),
        ("eps", "16/255", Eps.parse("16/255")),
        ("eps", 0.25, Eps.parse("1/4")),
        ("eps", Eps.parse("1/4"), Eps.parse("1/4")),
        ("epochs", "none", None),
        ("epochs", None, None),
        ("epochs", "3", 3),
        ("radius", "none", None),
        ("radius", "3/255", Eps.parse("3/255")),
        ("pace", "none", None),
        ("pace", "fast", Speed.FAST),
        ("flag", "none", None),
        ("flag", "false", False),
    ],
)
def test_reading_every_type(name: str, given_value: Any, value: Any) -> None:
    found = getattr(build(Probe, {name: given_value}), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("steps", "2.5", "expected a whole number, found '2.5'"),
        ("steps", "1/3", "expected a whole number, found '1/3'"),
        ("steps", "ten", "expected a whole number, found 'ten'"),
        ("steps", True, "expected a whole number, found True"),
        ("steps", None, "expected a whole number, found 'None'"),
        ("steps", [2], "expected a whole number, found '[2]'"),
        ("steps", math.inf, "expected a whole number, found 'inf'"),
        ("size", "1/0", "expected a number, found '1/0'"),
        ("size", "nan", "expected a number, found 'nan'"),
        ("size", math.nan, "expected a number, found 'nan'"),
        ("size", "inf", "expected a number, found 'inf'"),
        ("size", "1e400", "expected a number, found '1e400'"),
        ("size", "8/255/2", "expected a number, found '8/255/2'"),
        ("random", "yes", "expected true or false, found 'yes'"),
        ("random", 1, "expected true or false, found '1'"),
        ("random", 0, "expected true or false, found '0'"),
        ("random", 1.0, "expected true or false, found '1.0'"),
        ("random", None, "expected true or false, found 'None'"),
        ("random", [True], "expected true or false, found '[True]'"),
        ("rule", 3, "expected a text, found 3"),
        ("speed", "fats", "'fats' is no choice; did you mean 'fast'? known: fast, slow"),
        ("speed", "FAST", "'FAST' is no choice; did you mean 'fast'? known: fast, slow"),
        ("speed", 1, "'1' is no choice; known: fast, slow"),
        ("level", 3, "'3' is no choice; known: 1, 2"),
        ("eps", "1.5", "eps is 1.5, but must lie from 0 to 1"),
        ("eps", "-1/255", "eps is -1/255, but must lie from 0 to 1"),
        ("eps", "eight", "eps is 'eight', but must be a fraction such as 8/255"),
        ("epochs", "nothing", "expected a whole number, found 'nothing'"),
        ("radius", "8", "eps is 8, but must lie from 0 to 1"),
        ("pace", "fats", "'fats' is no choice; did you mean 'fast'? known: fast, slow"),
        ("flag", "maybe", "expected true or false, found 'maybe'"),
    ],
)
def test_wrong_values_name_plugin_parameter_and_expectation(
    name: str, value: Any, complaint: str
) -> None:
    assert message_of(**{name: value}).startswith(
        f"attack 'probe', parameter '{name}': {complaint}"
    )


def test_an_unknown_parameter_names_the_nearest_and_all() -> None:
    assert message_of(epoch=3) == (
        "attack 'probe' has no parameter 'epoch'; did you mean 'epochs'? known: "
        + ", ".join(sorted(field_types(Probe)))
    )
    assert "did you mean" not in message_of(qqqqqq=3)
    assert "known: " in message_of(qqqqqq=3)


def test_what_the_plugin_itself_refuses_is_told_with_its_name() -> None:
    assert message_of(steps=-1) == "attack 'probe': steps must be 0 or more, found -1"
    # An author need not know our exceptions.
    assert message_of(size=101) == "attack 'probe': size is far too large"


def test_a_missing_parameter_is_told() -> None:
    @attack("needy")
    @dataclass(frozen=True)
    class Needy(Attack):
        steps: int

        @override
        def perturb(self, model: Any, images: Any, goal: Any, threat: Any, rng: Any) -> Any:
            return images

    with pytest.raises(UsageError, match=r"attack 'needy' needs its parameter 'steps'"):
        build(Needy, {})
    assert canonical(build(Needy, {"steps": 3})) == "needy:steps=3"


def test_presets_are_read_like_values() -> None:
    strong = build(Probe, {"steps": 5}, "strong")
    assert (strong.steps, strong.eps) == (5, Eps.parse("16/255"))
    with pytest.raises(UsageError, match="no parameter 'stepz'; did you mean 'steps'"):
        build(Probe, {}, "wrong")


def test_a_type_that_text_cannot_hold_is_refused_by_name() -> None:
    for kind in (tuple[int, ...], list[int], int | str, dict[str, int], object):
        with pytest.raises(UsageError, match=r"here: parameters of type .* cannot be set by name"):
            coerce("1", kind, "here")
    # But it may stand at its default.

    @attack("listed")
    @dataclass(frozen=True)
    class Listed(Attack):
        milestones: tuple[float, ...] = (0.5, 0.75)

        @override
        def perturb(self, model: Any, images: Any, goal: Any, threat: Any, rng: Any) -> Any:
            return images

    assert canonical(build(Listed, {})) == "listed"
    with pytest.raises(UsageError, match="attack 'listed', parameter 'milestones'"):
        build(Listed, {"milestones": "1"})


def test_resolved_is_plain_data_with_one_spelling_per_value() -> None:
    one = build(Probe, {"eps": "16/510", "speed": "fast", "level": "2", "radius": "2/8"})
    assert resolved(one) == {
        "steps": 10,
        "size": 0.5,
        "random": True,
        "rule": "plain",
        "speed": "fast",
        "level": 2,
        "eps": "8/255",
        "epochs": None,
        "radius": "1/4",
        "pace": None,
        "flag": None,
    }
    assert canonical(one) == "probe:speed=fast,level=2,radius=1/4"
    assert plain(Ratio.HALF) == 0.5


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive_their_text_to_the_last_bit(value: float) -> None:
    assert coerce(str(value), float, "here") == value
    assert coerce(str(Fraction(value)), float, "here") == value


@given(st.fractions(max_denominator=10**9))
def test_a_fraction_is_the_nearest_double(value: Fraction) -> None:
    assert coerce(str(value), float, "here") == value.numerator / value.denominator


@given(st.text(max_size=10))
def test_any_text_is_a_value_or_a_usage_error(text: str) -> None:
    for name in field_types(Probe):
        with contextlib.suppress(UsageError):
            built = build(Probe, {name: text})
            assert build(Probe, dict(Spec.parse(canonical(built)).given)) == built


def test_get_reads_parameters_from_name_and_keywords() -> None:
    assert plugins.get("attack", "pgd-hamming:steps=3", step_size="2/255") == plugins.get(
        "attacks", "pgd-hamming", steps=3, step_size=2 / 255
    )
