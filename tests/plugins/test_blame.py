"""Whose line it was: the innermost frame of a plugin's own file or package, else of hashbench."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import torch

from hashbench import plugins
from hashbench.attacking import Eps, Threat, run_attack
from hashbench.errors import PluginError, UsageError
from hashbench.plugins.blame import answer_of, came, defined_at, expected, place_of, refusing, told
from hashbench.plugins.misspelt import missing_methods
from hashbench.plugins.parameters import build
from hashbench.testing.case import ordinary

PACKAGE = {
    "__init__.py": "",
    "deep/__init__.py": "",
    "deep/helper.py": "def go(x):\n    return x.nothing\n",
    "attack.py": """
from dataclasses import dataclass
import json
from hashbench.eps import Eps
from hashbench.plugins import Attack, attack
from hashbench_blamed.deep.helper import go

@attack("packaged")
@dataclass(frozen=True)
class Packaged(Attack):
    "One."
    def perturb(self, model, images, goal, threat, rng):
        return go(images)
    def standard(self):
        return json.loads("{")
    def ours(self):
        return Eps.parse("nonsense")
    def chained(self):
        try:
            self.standard()
        except ValueError as error:
            raise RuntimeError("later") from error

@attack("curious", knowledge=())
@dataclass(frozen=True)
class Curious(Attack):
    "Two."
    def perturb(self, model, images, goal, threat, rng):
        return images + goal.labels
""",
}
"""A package, named as `hashbench new` names one: it begins as ours and is not."""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ndarray", "an ndarray"),
        ("int", "an int"),
        ("bytes", "a bytes"),
        ("nn", "an nn"),
        ("number", "a number"),
        ("Net", "a Net"),
        ("RNNCell", "an RNNCell"),
        ("GRUCell", "a GRUCell"),
        ("UInt", "a UInt"),
        ("UsageError", "a UsageError"),
        ("Unusual", "an Unusual"),
        ("Objective", "an Objective"),
        ("_Hidden", "a _Hidden"),
    ],
)
def test_what_came_is_told_with_its_article(name: str, said: str) -> None:
    assert came(type(name, (), {})()) == said


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[plugins.Attack]:
    for name, text in PACKAGE.items():
        path = tmp_path / "hashbench_blamed" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    from hashbench_blamed.attack import Packaged  # type: ignore[import-not-found]

    found: plugins.Attack = Packaged()
    yield found
    for name in [name for name in sys.modules if name.split(".")[0] == "hashbench_blamed"]:
        del sys.modules[name]


def raised(attack: plugins.Attack, method: str, *given: object) -> BaseException:
    with pytest.raises(BaseException) as found:  # noqa: PT011 - whatever it is
        getattr(attack, method)(*given)
    return found.value


def test_the_innermost_frame_of_the_package_counts(packaged: plugins.Attack) -> None:
    error = raised(packaged, "perturb", *[None] * 5)
    assert place_of(error, packaged) == "hashbench_blamed/deep/helper.py:2"
    assert told(error, packaged) == (
        "AttributeError: 'NoneType' object has no attribute 'nothing' "
        "(hashbench_blamed/deep/helper.py:2)"
    )
    assert told(error) == "AttributeError: 'NoneType' object has no attribute 'nothing'"


def test_what_another_library_raises_is_told_where_the_plugin_called_it(
    packaged: plugins.Attack,
) -> None:
    assert place_of(raised(packaged, "standard"), packaged) == "hashbench_blamed/attack.py:15"
    assert place_of(raised(packaged, "chained"), packaged) == "hashbench_blamed/attack.py:22"


def test_what_our_own_code_refuses_stays_as_it_is(packaged: plugins.Attack) -> None:
    error = raised(packaged, "ours")
    assert isinstance(error, UsageError)
    assert told(error, packaged) == str(error)
    assert place_of(error, packaged) == "hashbench_blamed/attack.py:17"


def test_without_a_frame_of_its_own_the_caller_is_told(packaged: plugins.Attack) -> None:
    with pytest.raises(UsageError, match=r"TypeError: .*\(hashbench/plugins/blame\.py:\d+\)"):
        answer_of(packaged, "perturb", int)


def test_the_system_is_not_the_plugins_fault(packaged: plugins.Attack) -> None:
    with pytest.raises(UsageError) as found, refusing(packaged, " fails:"):
        raise OSError(28, "No space left on device", "a/b")
    assert str(found.value) == "attack 'packaged' fails: OSError: a/b: No space left on device"


def test_a_rule_that_an_attack_breaks_is_told_with_the_line_that_breaks_it(
    packaged: plugins.Attack,
) -> None:
    curious = sys.modules[type(packaged).__module__].Curious()
    case, threat = ordinary(), Threat(Eps.parse("8/255"))
    pixels = (case.images * 255).round().to(torch.uint8).numpy()
    with pytest.raises(
        PluginError, match=r"reads the labels.* \(hashbench_blamed/attack\.py:29\)$"
    ):
        run_attack(curious, case.model, pixels, case.attacker, threat, range(len(pixels)), batch=99)


def test_where_nothing_is_known_of_a_class_no_place_is_told() -> None:
    """As of one that was typed at Python's prompt."""
    made: dict[str, object] = {"__name__": "typed", "Attack": plugins.Attack}
    exec("class Bare(Attack):\n    steps: int = 3\n    def pertrub(self): ...", made)  # noqa: S102
    bare = plugins.attack("bare")(cast("type[plugins.Attack]", made["Bare"]))
    assert defined_at(bare) == ""
    assert missing_methods(bare).endswith("did you mean perturb by pertrub (<string>:3)?")
    with pytest.raises(UsageError, match=r"write @dataclass\(frozen=True\) above it$"):
        build(bare, {"steps": 4})


def test_our_own_plugins_are_told_by_their_own_file() -> None:
    hag = plugins.get("attack", "hag")
    assert isinstance(hag, plugins.Attack)
    error = raised(hag, "perturb", None, None, None, None, None)
    assert place_of(error, hag).startswith("hashbench/attacks/hag.py:")


def test_a_long_message_leaves_the_place(packaged: plugins.Attack) -> None:
    try:
        packaged.perturb(*["x" * 10_000] * 5)  # type: ignore[arg-type]
    except AttributeError as error:
        error.args = ("y" * 10_000,)
        said = told(error, packaged)
    assert len(said) < 2_200
    assert said.endswith("... (hashbench_blamed/deep/helper.py:2)")


def test_an_answer_of_another_type_names_method_and_line(packaged: plugins.Attack) -> None:
    assert expected(packaged, "perturb", 3, int) == 3
    with pytest.raises(PluginError) as found:
        expected(packaged, "perturb", None, int, "return a number")
    assert str(found.value) == (
        "attack 'packaged': perturb() must return an int, but returned None: return a number "
        "(hashbench_blamed/attack.py:12)"
    )
    assert defined_at(packaged) == "hashbench_blamed/attack.py:8"
    assert defined_at(packaged, "passes") == defined_at(packaged)  # it is ours
    assert defined_at(3) == ""


def test_leaving_the_process_is_an_error_too(packaged: plugins.Attack) -> None:
    sentence = "attack 'packaged': SystemExit: 3"
    with pytest.raises(UsageError, match=sentence), refusing(packaged, ":"):
        sys.exit(3)
