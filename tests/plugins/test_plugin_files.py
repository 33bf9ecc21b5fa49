"""`--plugin FILE`: an attack in twenty lines works; a file that cannot be loaded stops nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import hashbench
from hashbench import UsageError, plugins
from hashbench.plugins.registered import Registry
from hashbench.results.cell import Status
from hashbench.results.results import Results
from hashbench.runner.fingerprint import describe
from hashbench.runner.suite import Suite

TinySuite = Callable[..., Suite]

pytestmark = pytest.mark.usefixtures("fresh_registry")

ATTACK = """
from dataclasses import dataclass
from hashbench.plugins import Attack, attack

@attack("{name}")
@dataclass(frozen=True)
class Probe(Attack):
    "{doc}"
    def {method}(self, model, images, goal, threat, rng):
        return images
"""


def write_attack(
    path: Path, *, name: str = "probe", doc: str = "Nothing.", method: str = "perturb"
) -> Path:
    path.write_text(ATTACK.format(name=name, doc=doc, method=method))
    return path


def maps(results: Results) -> dict[tuple[str, str], float]:
    return {
        (result.cell.defense, result.cell.attack): result.metrics["map"] for result in results.cells
    }


def test_the_sample_is_at_most_twenty_lines(twenty_lines: Path) -> None:
    assert len(twenty_lines.read_text().splitlines()) <= 20


def test_the_sample_attacks_with_one_and_with_two_workers(
    tiny_suite: TinySuite, twenty_lines: Path, tmp_path: Path
) -> None:
    suite = tiny_suite(twenty_lines, attack="sign-step:reach=0.9")
    alone = hashbench.run(suite, out=tmp_path / "one")
    assert not alone.failed
    found = maps(alone)
    assert found["none", "sign-step:reach=0.9"] < found["none", "none"] - 0.1
    together = hashbench.run(suite, out=tmp_path / "two", workers=2)
    assert together.to_frame().equals(alone.to_frame())


def test_a_broken_file_is_listed_and_the_rest_runs(
    fresh_registry: Registry, tiny_suite: TinySuite, twenty_lines: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "bad-luck.py"
    broken.write_text("import this_module_does_not_exist\n")
    results = hashbench.run(tiny_suite(broken, twenty_lines, attack="sign-step"), out=tmp_path)
    assert [result.status for result in results.cells] == [Status.DONE] * 2
    (entry,) = [entry for entry in fresh_registry.broken if entry.name == "bad-luck"]
    assert entry.kind is None
    assert entry.reason.startswith("ModuleNotFoundError: ")
    assert f'File "{broken}", line 1' in entry.traceback


@pytest.mark.parametrize("kind", list(plugins.Kind))
def test_asking_for_a_broken_file_says_why(tmp_path: Path, kind: plugins.Kind) -> None:
    path = tmp_path / "late.py"
    path.write_text("1 / 0\n")
    plugins.use_file(path)
    with pytest.raises(UsageError, match="broken: ZeroDivisionError: division by zero") as raised:
        plugins.get(kind, "late")
    assert f"{kind} 'late' of {path}" in str(raised.value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def f(:\n", "SyntaxError"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("import sys; sys.exit()\n", "SystemExit"),
        ("x = 1\n", "it declares no plugin: is the decorator, as in @attack('name'), missing?"),
        ("from hashbench.hashing.losses.csq import CSQ\n", "declares no plugin"),
        (ATTACK.format(name="probe", doc="", method="pertrub"), "Probe does not define perturb"),
        (ATTACK.format(name="Probe_1", doc="", method="perturb"), "attack name 'Probe_1'"),
        ("assert False, 'first line\\nsecond'\n", "AssertionError: first line"),
        ("\0", "null bytes"),
    ],
)
def test_every_way_of_being_broken_has_its_reason(
    fresh_registry: Registry, tmp_path: Path, source: str, reason: str
) -> None:
    before = len(fresh_registry.broken)
    path = tmp_path / "plugin.py"
    path.write_text(source)
    plugins.use_file(path)
    (entry,) = fresh_registry.broken[before:]
    assert entry.origin.source == str(path)
    assert reason in entry.reason
    assert entry.traceback


def test_a_file_that_raised_leaves_no_module_behind(tmp_path: Path) -> None:
    path = tmp_path / "half_made.py"
    path.write_text("x = 1\n1 / 0\n")
    plugins.use_file(path)
    assert not [name for name in sys.modules if "half_made" in name]


def test_a_file_of_another_kind_is_broken(fresh_registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    plugins.use_file(path)
    assert "its name must end in .py" in fresh_registry.broken[-1].reason


def test_ctrl_c_during_import_is_not_a_broken_plugin(tmp_path: Path) -> None:
    path = tmp_path / "slow.py"
    path.write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        plugins.use_file(path)


@pytest.mark.parametrize(
    ("name", "reason"), [("missing.py", "no such file"), (".", "it is a folder, expected a file")]
)
def test_a_missing_file_is_a_usage_error(tmp_path: Path, name: str, reason: str) -> None:
    path = tmp_path / name
    with pytest.raises(UsageError, match=reason) as raised:
        plugins.use_file(path)
    assert str(path) in str(raised.value)


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    for folder, name in (("a", "first"), ("b", "second")):
        (tmp_path / folder).mkdir()
        plugins.use_file(write_attack(tmp_path / folder / "plugin.py", name=name))
    assert plugins.get("attack", "first") != plugins.get("attack", "second")


def test_two_files_with_one_plugin_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    one = write_attack(tmp_path / "one.py")
    two = write_attack(tmp_path / "two.py")
    plugins.use_file(one)
    plugins.use_file(two)
    with pytest.raises(UsageError, match="two plugins are called attack 'probe'") as raised:
        plugins.get("attack", "probe")
    assert str(one) in str(raised.value)
    assert str(two) in str(raised.value)


def test_a_file_may_be_named_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of one Python session name the same file, perhaps spelled in another way."""
    path = write_attack(tmp_path / "plugin.py")
    plugins.use_file(path)
    first = plugins.get("attack", "probe")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for spelling in (path, "plugin.py", "folder/../plugin.py"):
        plugins.use_file(spelling)
    assert plugins.get("attack", "probe").card == first.card
    assert plugins.names("attack").count("probe") == 1


def test_a_file_that_was_edited_replaces_its_earlier_self(
    fresh_registry: Registry, tmp_path: Path
) -> None:
    path = write_attack(tmp_path / "plugin.py", doc="Before.")
    plugins.use_file(path)
    before = plugins.get("attack", "probe")
    key = describe(before)
    write_attack(path, doc="After.")
    plugins.use_file(path)
    after = plugins.get("attack", "probe")
    assert (before.card.summary, after.card.summary) == ("Before.", "After.")
    assert describe(after)["source"] != key["source"]
    path.write_text("1 / 0")
    plugins.use_file(path)
    assert "probe" not in plugins.names("attack")
    write_attack(path, doc="Repaired.")
    plugins.use_file(path)
    assert plugins.get("attack", "probe").card.summary == "Repaired."
    assert str(path) not in [broken.origin.source for broken in fresh_registry.broken]


def test_an_edit_counts_whatever_the_clock_says(tmp_path: Path) -> None:
    """Same size, same modification time: Python's own bytecode cache would not see the edit."""
    path = tmp_path / "plugin.py"
    for doc in ("Left.", "Next."):
        write_attack(path, doc=doc)
        os.utime(path, (1_700_000_000, 1_700_000_000))
        plugins.use_file(path)
        assert plugins.get("attack", "probe").card.summary == doc
    assert sorted(tmp_path.iterdir()) == [path]  # no bytecode is left next to a user's file


def test_a_name_that_a_broken_file_would_have_declared_is_explained(tmp_path: Path) -> None:
    """The file is called otherwise than its attack, so only its being broken can be told."""
    path = tmp_path / "my_attack.py"
    path.write_text("def f(:\n")
    plugins.use_file(path)
    with pytest.raises(UsageError, match="there is no attack 'one-step'") as raised:
        plugins.get("attack", "one-step")
    assert f"plugin file {path} is broken: SyntaxError" in str(raised.value)
