"""Packages of other authors, as pip installs them: found, run, reported; broken ones left out."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., subprocess.CompletedProcess[str]]

CLI = ("-m", "hashbench")

TINY = """
dataset = "tiny"
backbone = "small-cnn:width=4,hidden=16"
bits = 8
defense = ["none", "noise-training:weight=0.5"]
attack = ["noise", "fgsm-hamming@unsaturated"]
eps = "24/255"
training = {epochs = 15, batch = 8}
budget = {epochs = 2, inner_steps = 1}
"""

FASHION = """
dataset = "fashion"
bits = 16
defense = ["none", "noise-training"]
attack = ["fgsm-hamming", "pgd-hamming:steps=2"]
training = {epochs = 1}
budget = {epochs = 1, inner_steps = 1}
"""

LISTING = """
import json
from hashbench import plugins
registry = plugins.registry()
print(json.dumps({
    "entries": [
        [kind, name, [str(entry.origin) for entry in entries], entries[0].plugin.card.summary]
        for (kind, name), entries in registry.entries.items()
    ],
    "broken": [
        [broken.kind, broken.name, str(broken.origin), broken.reason, broken.traceback]
        for broken in registry.broken
    ],
}))
"""


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_registry_tells_where_each_came_from(call: Call, site: Path) -> None:
    done = call("-c", LISTING, path=site)
    assert done.returncode == 0, done.stderr
    listing = json.loads(done.stdout)
    found = {(kind, name): rest for kind, name, *rest in listing["entries"]}
    assert found["attack", "fgsm-hamming"] == [
        ["hashbench-example-plugins 1.2.0 (hashbench_example_plugins.fgsm_hamming)"],
        "Push the query's code away from its center code by one signed-gradient step.",
    ]
    assert found["defense", "noise-training"] == [
        ["hashbench-example-plugins 1.2.0 (hashbench_example_plugins.noise_training)"],
        "Go on training the base model on its images with random noise: cheap, and weak.",
    ]
    assert {("attack", "hag"), ("defense", "cgat"), ("loss", "csq")} <= set(found)

    broken = {(kind, name): rest for kind, name, *rest in listing["broken"]}
    origin, reason, traceback = broken["attack", "explosive"]
    assert origin == "hashbench-broken-plugins 0.3.0 (hashbench_broken_plugins.explosive)"
    where = "hashbench_broken_plugins/explosive.py:3"
    assert reason == f"RuntimeError: needs libexplosive 2, found 1 ({where})"
    assert 'hashbench_broken_plugins/explosive.py", line 3' in traceback
    origin, reason, _ = broken["defense", "vanished"]
    assert origin == "hashbench-broken-plugins 0.3.0 (hashbench_broken_plugins.never_written)"
    assert reason.startswith("ModuleNotFoundError: ")


def test_plugins_command_lists_sound_and_broken(call: Call, site: Path) -> None:
    done = call(*CLI, "plugins", path=site)
    assert done.returncode == 0, done.stderr
    for line in (
        ("attack", "fgsm-hamming", "hashbench-example-plugins"),
        ("defense", "noise-training", "hashbench-example-plugins"),
        ("attack", "hag", "hashbench"),
    ):
        assert any(row.split()[:3] == list(line) for row in done.stdout.splitlines()), line
    sound, broken = done.stdout.split("broken", 1)
    assert "explosive" not in sound
    assert "vanished" not in sound
    assert "explosive" in broken
    assert "needs libexplosive 2, found 1" in broken
    assert "vanished" in broken
    assert "Traceback" not in done.stdout + done.stderr


def test_show_tells_parameters_and_origin(call: Call, site: Path) -> None:
    done = call(*CLI, "show", "fgsm-hamming", path=site)
    assert done.returncode == 0, done.stderr
    for word in ("fgsm-hamming", "hashbench-example-plugins", "reach", "alpha", "unsaturated"):
        assert word in done.stdout


def test_they_run_and_stand_in_the_report(
    call: Call, site: Path, tiny_data: Path, tmp_path: Path
) -> None:
    suite = tmp_path / "small.toml"
    suite.write_text(f"plugin = {str(tiny_data)!r}\n{TINY}")
    done = call(*CLI, "run", str(suite), "--out", "results", path=site)
    assert done.returncode == 0, done.stderr
    assert "explosive" in done.stderr  # warned of, and no more than that
    assert "Traceback" not in done.stderr
    report = call(*CLI, "report", "results", "--format", "csv", path=site)
    assert report.returncode == 0, report.stderr
    rows = rows_of(report.stdout)
    maps = {(row["defense"], row["attack"]): row for row in rows if row["metric"] == "map"}
    attack, defense = "fgsm-hamming:alpha=0.1", "noise-training:weight=0.5"
    for guard in ("none", defense):
        for blow in ("none", "noise", attack):
            assert 0 < float(maps[guard, blow]["value"]) <= 1
            assert maps[guard, blow]["eps"] == ("0" if blow == "none" else "24/255")
        # On this data the step is strong: it does what an attack is for.
        assert float(maps[guard, attack]["value"]) < float(maps[guard, "none"]["value"]) - 0.1
    passes = {
        row["metric"]: float(row["value"])
        for row in rows
        if (row["defense"], row["attack"]) == (defense, attack)
    }
    assert (passes["forwards"], passes["backwards"]) == (1, 1)
    assert passes["linf"] == pytest.approx(24 / 255, abs=1e-6)


def test_asking_for_a_broken_one_is_one_sentence(call: Call, site: Path) -> None:
    done = call(*CLI, "run", "--attack", "explosive", "--out", "results", path=site)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "attack 'explosive'" in done.stderr
    assert "hashbench-broken-plugins 0.3.0" in done.stderr
    assert "RuntimeError: needs libexplosive 2, found 1" in done.stderr


@pytest.mark.slow
def test_they_run_on_real_images(call: Call, site: Path, tmp_path: Path) -> None:
    suite = tmp_path / "garments.toml"
    suite.write_text(FASHION)
    done = call(*CLI, "run", str(suite), "--out", "results", path=site)
    assert done.returncode == 0, done.stderr
    report = call(*CLI, "report", "results", "--format", "csv", path=site)
    assert report.returncode == 0, report.stderr
    maps = {
        (row["defense"], row["attack"]): float(row["value"])
        for row in rows_of(report.stdout)
        if row["metric"] == "map"
    }
    assert maps["none", "fgsm-hamming"] < maps["none", "none"]
    assert {name for name, _ in maps} == {"none", "noise-training"}
    table = call(*CLI, "report", "results", path=site)
    assert table.returncode == 0, table.stderr
    assert "noise-training" in table.stdout
    assert "fgsm-hamming" in table.stdout
