"""The version of the plugin interface: on the card; a plugin of a later one is broken, and why."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from hashbench import UsageError, plugins
from hashbench.plugins import Attack, Kind, Plugin, base
from hashbench.plugins.base import Decorator
from hashbench.plugins.card import API
from hashbench.plugins.registered import Registry
from hashbench.runner.fingerprint import describe

Call = Callable[..., subprocess.CompletedProcess[str]]

LATER = API + 1

TWO = f"""
from dataclasses import dataclass
from hashbench.plugins import Attack, attack

@attack("ahead", api={LATER})
class Ahead(Attack):
    "Of a contract that nobody here knows: it lacks what this one asks for."

@attack("sound", api={API})
@dataclass(frozen=True)
class Sound(Attack):
    "Nothing."
    def perturb(self, model, images, goal, threat, rng):
        return images
"""

REASON = (
    f"it was written for version {LATER} of the plugin interface; hashbench {version('hashbench')} "
    f"has version {API}: update hashbench (pip install --upgrade hashbench), or install an earlier "
    "version of the plugin"
)

DECORATORS = (base.attack, base.defense, base.loss, base.backbone, base.dataset, base.report_format)


@pytest.mark.parametrize("declare", DECORATORS)
def test_the_card_carries_it(declare: Callable[..., Decorator]) -> None:
    def card(**given: int) -> int:
        class Probe(Plugin):
            """Nothing."""

        return declare("probe", **given)(Probe).card.api

    # What declares nothing was written before there was a second one.
    assert card() == 1
    assert card(api=7) == 7


@pytest.mark.parametrize("wrong", [0, -1, "1", 1.0, True, None])
@pytest.mark.parametrize("declare", DECORATORS)
def test_it_is_a_whole_number_from_1_on(declare: Callable[..., Decorator], wrong: object) -> None:
    with pytest.raises(UsageError, match="'probe': api is the version of the plugin interface"):
        declare("probe", api=wrong)


def test_it_changes_no_key() -> None:
    """What a plugin computes does not depend on it: results stay when an author raises it."""

    def described(api: int) -> object:
        class Probe(Attack):
            """Nothing."""

            def perturb(self, model, images, goal, threat, rng):  # type: ignore[no-untyped-def]  # noqa: ARG002
                return images

        return describe(base.attack("probe", api=api)(Probe)())

    assert described(1) == described(2)


def test_a_later_one_is_broken_and_its_neighbour_is_not(
    fresh_registry: Registry, tmp_path: Path
) -> None:
    path = tmp_path / "two.py"
    path.write_text(TWO)
    for _ in range(2):  # a file that is read again is not listed twice
        plugins.use_file(path)
        assert "sound" in plugins.names("attack")
        assert "ahead" not in plugins.names("attack")
        (broken,) = [b for b in fresh_registry.broken if b.origin.source == str(path.resolve())]
        assert (broken.kind, broken.name, broken.reason) == (Kind.ATTACK, "ahead", REASON)
    with pytest.raises(UsageError) as raised:
        plugins.get("attack", "ahead")
    assert str(raised.value) == (
        f"attack 'ahead' of {broken.origin} is broken: {REASON} "
        "('hashbench plugins --verbose' shows where)"
    )


def test_every_command_says_what_to_do(call: Call, tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(TWO)
    listed = call("-m", "hashbench", "plugins", "--verbose", "--plugin", "two.py")
    assert listed.returncode == 0, listed.stderr
    said = " ".join(listed.stdout.split())
    assert f"broken: attack 'ahead' of {tmp_path.resolve() / 'two.py'} (two.py) {REASON}" in said
    for words in (
        ("check", "ahead", "--plugin", "two.py"),
        ("run", "--attack", "ahead", "--plugin", "two.py"),
        ("show", "ahead", "--plugin", "two.py"),
    ):
        done = call("-m", "hashbench", *words)
        assert done.returncode == 2
        assert REASON in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
    shown = call("-m", "hashbench", "show", "sound", "--plugin", "two.py")
    assert f"api:      {API}\n" in shown.stdout


def test_every_plugin_that_ships_is_of_this_version() -> None:
    registry = plugins.registry()
    found = {
        entry.plugin.card.api
        for entries in registry.entries.values()
        for entry in entries
        if entry.origin.source == "hashbench"
    }
    assert found == {API}
