"""What is read of hashbench's own plugins without importing them is what an import gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hashbench import UsageError, plugins
from hashbench.cli import completion
from hashbench.cli.listing import _written
from hashbench.cli.suite_list import about
from hashbench.plugins.catalog import own_plugins, unread
from hashbench.plugins.kinds import Kind
from hashbench.plugins.lookup import kind_of
from hashbench.plugins.units import Unit
from hashbench.runner.suite import shipped

SUITES = Path(__file__).resolve().parents[2] / "benchmarks" / "suites"


@pytest.mark.parametrize("kind", list(Kind))
def test_a_source_says_what_an_import_gives(kind: Kind) -> None:
    entries = plugins.registry(kind).entries
    imported = {
        name: entry
        for (of, name), found in entries.items()
        for entry in found
        if of is kind and entry.origin.source == "hashbench"
    }
    listed = {one.name: one for one in own_plugins(kind)}
    assert set(listed) == set(imported)
    assert [one.name for one in own_plugins(kind)] == sorted(listed)
    for name, one in listed.items():
        card = imported[name].plugin.card
        assert one.origin == imported[name].origin
        assert (one.access, one.aim) == (card.access, card.aim)
        # Networks of a table are made when their module runs; all others say it in their source.
        assert one.summary == card.summary or (one.summary is None and kind is Kind.BACKBONE)
    assert all(point.dist is None or point.dist.name != "hashbench" for point in unread(kind))


def light(program: str, *arguments: str, **variables: str) -> str:
    """What a Python program prints that must not import torch."""
    import os

    done = subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "80", **variables},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMAND = """
import sys
from hashbench.cli.app import app
sys.argv = ["hashbench", *sys.argv[1:]]
try:
    app(prog_name="hashbench")
except SystemExit as end:
    assert not end.code, end.code
heavy = {"torch", "matplotlib", "pandas"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["plugins"], ["attack    hag", "gradient", "targeted", "resnet18"]),
        (["plugins", "--kind", "attack"], ["pgd-hamming", "ranked-search", "ranking"]),
        (["suites"], ["quick", "saat-tifs23", "hashbench show NAME > my-suite.toml"]),
        (["show", "fashion"], ["dataset fashion", "https://arxiv.org/abs/1708.07747"]),
        (["show", "quick"], ['name = "quick"']),
    ],
)
def test_these_commands_import_no_torch(words: list[str], found: list[str]) -> None:
    said = light(COMMAND, *words)
    for text in found:
        assert text in said


@pytest.mark.parametrize(
    ("typed", "offered", "not_offered"),
    [
        ("run --attack ", ["hag", "ranked-search"], ["cgat"]),
        ("run --attack pg", ["pgd-hamming"], ["hag"]),
        ("run --defense c", ["cgat", "control-order"], ["csq"]),
        ("run --loss d", ["dph", "dsdh"], ["dhta"]),
        ("run --backbone vgg1", ["vgg11", "vgg19-bn"], ["resnet18"]),
        ("run --dataset f", ["fashion", "flickr25k"], ["nus-wide"]),
        ("run c", ["controls", "cgat-www23"], ["cgat"]),
        ("report --format m", ["markdown"], ["csv"]),
        ("report --attack tr", ["transfer"], []),
        ("report --suite z", ["zoo"], []),
        ("show z", ["zoo"], []),
        ("show sd", ["sdha"], []),
        ("cite wang2023", ["wang2023cgat"], ["hag"]),
        ("cite sd", ["sdha"], ["hag"]),
        ("cite --format b", ["bibtex"], ["text"]),
        ("ci", ["cite"], ["report"]),
        ("check sa", ["saat"], ["saat-tifs23"]),
        ("data check nu", ["nus-wide"], []),
        ("plugins --kind a", ["attack"], []),
    ],
)
def test_tab_offers_names_without_torch(
    typed: str, offered: list[str], not_offered: list[str]
) -> None:
    words = f"hashbench {typed}"
    place = str(len(words.split(" ")) - 1)
    variables = {"COMP_WORDS": words, "COMP_CWORD": place, "_HASHBENCH_COMPLETE": "complete_bash"}
    said = light(COMMAND, **variables).split()
    assert set(offered) <= set(said)
    assert not set(not_offered) & set(said)


def test_the_shell_can_be_told() -> None:
    said = light(
        COMMAND, "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"
    )
    assert "_HASHBENCH_COMPLETE=complete_bash" in said


def test_whatever_is_typed_is_no_error() -> None:
    assert completion.plugins_of("attack")("no such") == []
    assert completion.suites("x") == []
    assert set(completion.shown("")) >= {"hag", "quick", "csv"}


def test_the_list_as_json_holds_everything() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hashbench", "plugins", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    ours = {(row["kind"], row["name"]): row for row in rows if row["source"] == "hashbench"}
    assert set(ours) == {(str(kind), one.name) for kind in Kind for one in own_plugins(kind)}
    assert all(row["summary"] and row["module"] for row in ours.values())
    assert ours["attack", "tha"]["aim"] == "targeted"
    assert ours["attack", "random-search"]["access"] == "codes"
    assert ours["backbone", "resnet18"]["summary"].startswith("ResNet-18")


def test_a_kind_by_singular_and_plural() -> None:
    assert kind_of("losses") is kind_of("loss") is Kind.LOSS
    with pytest.raises(UsageError, match="did you mean 'attack'"):
        kind_of("atack")


@pytest.mark.parametrize("name", shipped())
def test_every_suite_says_in_a_line_what_it_is(name: str) -> None:
    text = (SUITES / f"{name}.toml").read_text()
    said = about(text)
    assert 20 < len(said) < 140
    assert not said.endswith((":", "."))
    first = next(line for line in text.splitlines() if line.startswith("#"))
    assert said.startswith(first.lstrip("# ").rstrip(".:").partition(". ")[0])


@pytest.mark.parametrize("kind", list(Kind))
def test_a_source_is_prose(kind: Kind) -> None:
    """No keys of a bibliography that nobody has, such as `he2016resnet`."""
    import re

    for name in plugins.names(kind):
        cite = plugins.registry(kind).entries[kind, name][0].plugin.card.cite
        assert not re.search(r"\b[a-z]+(19|20)\d\d[a-z]+\b", cite), (name, cite)
        if kind is Kind.BACKBONE and name != "small-cnn":
            assert "https://" in cite


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (2 / 255, Unit.PIXELS, "2/255"),
        (0.3, Unit.PIXELS, "0.3"),
        (100.0, Unit.PIXELS, "100.0"),
        (1.0, Unit.PIXELS, "1.0"),
        (0.0, Unit.PIXELS, "0.0"),
        (2 / 255, None, str(2 / 255)),
        (True, None, "true"),
        (False, Unit.PIXELS, "false"),
        (None, None, "none"),
    ],
)
def test_a_value_is_written_as_it_may_be_typed(
    value: object, unit: Unit | None, written: str
) -> None:
    assert _written(value, unit) == written


def test_every_preset_is_written_as_its_defaults_are() -> None:
    """No Python constants, and no float where the literature writes steps of 1/255."""
    from hashbench.plugins.parameters import field_units

    for kind in Kind:
        for name in plugins.names(kind):
            plugin = plugins.registry(kind).entries[kind, name][0].plugin
            units = field_units(plugin)
            for values in plugin.card.presets.values():
                for key, value in values.items():
                    written = _written(value, units.get(key))
                    assert written not in ("True", "False", "None")
                    if units.get(key) is Unit.PIXELS:
                        assert len(written) <= 8, (name, key, written)
