"""The block 'Reproduce': its commands ask for the cells of the report, whatever they are called."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashbench import plugins
from hashbench.reports.text import reproduce
from hashbench.results.provenance import Provenance
from hashbench.results.results import Results
from hashbench.runner.suite_files import read_suite
from hashbench.runner.suite_tables import Compute, Training

Row = tuple[str, ...]

HOSTILE = (
    "</script><b>",
    "a'; rm -rf $HOME; '",
    "$(touch owned) `touch owned`",
    "\u202eabc\u05d0",
    "\x1b[31m",
    "=cmd|' /C calc'!A0",
    "back\\slash\\x41",
    "図表 😀 café",
    "two\nlines\tand a tab",
    "x" * 300,
    "-rf",
    "https://evil.example @someone www.evil.example me@evil.example",
)


def run_bash(lines: str, folder: Path) -> list[list[str]]:
    """What a shell makes of lines: the words of every `hashbench` in them."""
    script = (
        'hashbench() { printf "%s\\0" "$@"; printf "\\n\\0"; }\n'  # no word is a line break alone
        + lines
        + "\n"
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    assert done.stderr == b""
    commands: list[list[str]] = [[]]
    for word in done.stdout.decode().split("\0")[:-1]:
        if word == "\n":
            commands.append([])
        else:
            commands[-1].append(word)
    return commands[:-1]


def asked(words: list[str]) -> set[Row]:
    """The rows of a command's grid, read without any code of the report's."""
    values: dict[str, list[str]] = {}
    place = words.index("--dataset")
    for option, value in zip(words[place::2], words[place + 1 :: 2], strict=True):
        values.setdefault(option.removeprefix("--"), []).append(value)
    return set(product(*(values[name] for name in reproduce.FIELDS)))


def rows_of(results: Results) -> set[Row]:
    return {
        tuple(str(getattr(one.cell, name)) for name in reproduce.FIELDS)
        for one in results.cells
        if one.cell.attack != "none"
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_a_shell_reads_every_word_as_it_was(tmp_path: Path, text: str) -> None:
    written = reproduce.word(text)
    assert written.isascii()
    assert written.isprintable()
    assert run_bash(f"hashbench {written}", tmp_path) == [[text]]
    assert list(tmp_path.iterdir()) == []


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
@settings(max_examples=30, deadline=None)
def test_a_shell_reads_any_word(text: str) -> None:
    assert run_bash(f"hashbench x{reproduce.word(text)}", Path()) == [[f"x{text}"]]


def test_the_commands_ask_for_the_cells_of_the_report(quick: Any, tmp_path: Path) -> None:
    quick.clean(HOSTILE[0], 0.5).attacked(HOSTILE[0], "hag", 0.4, eps="8/255")
    quick.clean("alone", 0.5)
    results = quick.results()
    found = run_bash("\n".join(reproduce.commands(results)), tmp_path)
    rows = [row for words in found if "--eps" in words for row in asked(words)]
    assert len(rows) == len(set(rows))
    assert set(rows) == rows_of(results)
    (alone,) = (words for words in found if "--eps" not in words)
    assert alone[-6:] == ["--defense", "alone", "--attack", "none", "--seed", "0"]


@given(
    st.sets(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from("123")),
        min_size=1,
    )
)
@settings(deadline=None)
def test_any_set_of_cells_is_written_as_grids(picked: set[tuple[str, str, str]]) -> None:
    rows = frozenset(
        ("fashion", "csq", "cnn", bits, defense, attack, "8/255", "0")
        for defense, attack, bits in picked
    )
    grids = reproduce._whole(rows)
    whole = [row for grid in grids for row in product(*grid)]
    assert len(whole) == len(rows)
    assert set(whole) == rows


def test_a_whole_grid_is_one_command(rich_book: Any) -> None:
    lines = reproduce.commands(rich_book.results())
    assert sum(line.startswith("hashbench run") for line in lines) == 1
    assert lines[-1].count("--eps") == 5


def test_a_training_stands_in_a_suite_file_that_says_it(book: Any, tmp_path: Path) -> None:
    book.card = {
        "base": {"epochs": 3, "learning_rate": 0.5, "batch": 32, "milestones": [0.1], "gamma": 0.1},
        "budget": {"epochs": 1, "inner_steps": 7, "eps": "8/85"},
        "compute": {"device": "cuda", "threads": 1, "attack_batch": 500},
    }
    book.clean("cgat", 0.7).attacked("cgat", "hag", 0.3)
    lines = reproduce.commands(book.results())
    ((file, *_),) = [words[1:] for words in run_bash("\n".join(lines), tmp_path)]
    made, _ = read_suite(tmp_path / file)
    assert made.pop("name") == Path(file).stem
    assert made == {
        "training": {"epochs": 3, "learning_rate": 0.5, "milestones": [0.1]},
        "budget": {"epochs": 1},
        "compute": {"device": "cuda"},
    }


def test_a_budget_of_another_radius_is_said(quick: Any) -> None:
    quick.card = {"budget": {"epochs": 12, "inner_steps": 7, "eps": "8/255"}}
    assert 'eps = "8/255"' in "\n".join(reproduce.commands(quick.results()))


def test_what_a_suite_leaves_unsaid_is_what_the_runner_takes() -> None:
    training, compute = asdict(Training(epochs=1)), asdict(Compute())
    training["milestones"] = list(training["milestones"])
    quick = {name: dict(reproduce._defaults()[name]) for name in ("training", "compute")}
    assert training | quick["training"] == training | {
        **reproduce.UNSAID["training"],
        **quick["training"],
    }
    assert training.keys() == reproduce.UNSAID["training"].keys() | quick["training"].keys()
    assert compute == dict(reproduce.UNSAID["compute"]) | quick["compute"]


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ({"handed_over": "x"}, "objects of a program"),
        ({"imported": "12345678abcd"}, "--model MODELS"),
        ({"checkpoint": "12345678abcd"}, "--checkpoint CHECKPOINT"),
    ],
)
def test_models_from_elsewhere(book: Any, base: dict[str, str], words: str) -> None:
    book.card = {"base": base}
    book.clean("cgat", 0.7).attacked("cgat", "hag", 0.3)
    assert words in "\n".join(reproduce.commands(book.results()))


def test_what_the_record_says_of_versions(quick: Any) -> None:
    results = quick.results()
    assert reproduce.versions(results)[0] == "Versions and dates: not recorded."
    first, *rest = results.cells
    old = Provenance(environment={"torch": "2.4", "hashbench": "0.1\x1b"}, made="2026-01-02")
    new = replace(old, environment={"torch": "2.5"}, made="2026-03-04")
    cells = (replace(first, provenance=old), *(replace(one, provenance=new) for one in rest))
    lines = reproduce.versions(replace(results, cells=cells))
    assert lines[:3] == (
        f"Made with ({len(rest)} of {len(cells)} cells): torch 2.5.",
        f"Made with (1 of {len(cells)} cells): hashbench 0.1\\x1b, torch 2.4.",
        "Made 2026-01-02 to 2026-03-04.",
    )


def test_a_grid_full_of_holes_is_cut(book: Any) -> None:
    for place in range(40):
        book.clean(f"d{place}", 0.5).attacked(f"d{place}", f"a{place}", 0.4)
    lines = reproduce.commands(book.results())
    assert len(lines) == reproduce.MOST + 1
    assert lines[-1].startswith("# and ")


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_a_report_has_the_block(quick: Any, name: str) -> None:
    form = plugins.get("format", name)
    assert isinstance(form, plugins.Format)
    text = form.render(quick.results())
    for line in "\n".join(reproduce.commands(quick.results())).splitlines():
        assert line in text
