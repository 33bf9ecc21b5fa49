"""docs/adversarial-images.md is true: its commands run, its tables name every file and column.

`hashbench run` gets a small suite; nothing else is changed.
"""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import pytest

from hashbench.results.kept_gallery import HIT_SIDE, MOST_SHOWN, QUERY_SIDE, SHOWN_HITS
from hashbench.results.kept_images import MOST, USUAL
from support.pages import DOCS, TINY_DATA, blocks, small_suite
from support.trials import IMPORTED, Trials

PAGE = (DOCS / "adversarial-images.md").read_text()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page's commands were run, in their order."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "small.toml").write_text(small_suite(epochs=2))
    commands = re.findall(r"^    hashbench (.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 4
    with Trials((*IMPORTED, "hashbench.zoo.image_files")) as trials:
        for command in commands:
            words = shlex.split(command)
            if words[0] == "run":
                words.insert(1, "small.toml")
            elif words[0] == "export-images":
                words += ["--plugin", str(TINY_DATA)]
            done = trials.run(*words, cwd=folder)
            assert done.code == 0, (command, done.err)
            if words[0] == "report":
                assert "pixels 8bit" in done.out
                assert "whole pixels of 8 bits" in " ".join(done.out.split())
    return folder


def test_the_tables_name_every_file_and_column(place: Path) -> None:
    with (place / "pictures" / "cells.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["attack"] == "auto"
    cell = place / "pictures" / row["folder"]
    files = re.findall(r"^\| `([^`]*)` \|", PAGE, re.MULTILINE)
    for name in files[:4]:
        assert (place / "pictures" / name.replace("CELL", cell.name)).is_file(), name
    assert {path.name for path in cell.iterdir() if path.suffix != ".png"} == {
        "clean",
        "exact.npy",
        "images.csv",
    }
    with (cell / "images.csv").open(newline="") as file:
        columns = next(csv.reader(file))
    for column in columns:
        named = f"`{column}`" in PAGE or column.startswith("t_ap_")
        assert named, column


def test_the_numbers_of_the_page() -> None:
    assert f"keeps the first {USUAL} attacked queries" in PAGE
    assert f"up to {MOST:,}; 0 keeps none" in PAGE
    assert f"same queries ({MOST_SHOWN} at most)" in " ".join(PAGE.split())
    assert f"longer side has more than {QUERY_SIDE} pixels" in " ".join(PAGE.split())
    assert f"at most {HIT_SIDE} pixels on the longer side" in PAGE
    assert SHOWN_HITS == 10
    assert "the ten best" in PAGE


def test_the_galleries_of_the_page_are_read(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = (
        block for block in blocks(DOCS / "adversarial-images.md") if block.language == "python"
    )
    monkeypatch.chdir(place)
    exec(compile(block.text, "docs/adversarial-images.md", "exec"), {})  # noqa: S102
    lines = capsys.readouterr().out.splitlines()
    # Two attacks of 8 queries in floats, and what the last command scored in whole pixels.
    assert {line.split()[0] for line in lines} == {"auto", "hag"}
    assert len(lines) == 24


def test_the_line_of_the_terminal_has_the_pages_form(place: Path) -> None:
    example = re.search(r"^    none / .*\n.*$", PAGE, re.MULTILINE)
    assert example is not None
    form = re.sub(r"\d+(\.\d+)?", "0", " ".join(example[0].split()))
    with Trials((*IMPORTED, "hashbench.zoo.image_files")) as trials:
        said = trials.run(
            *("export-images", "mine", "--to", "again", "--attack", "hag"),
            *("--plugin", str(TINY_DATA)),
            cwd=place,
        )
    assert said.code == 0
    found = re.sub(r"\d+(\.\d+)?", "0", said.out.splitlines()[0])
    for named in (("pgd-hamming", "hag"), ("fashion", "tiny"), ("none /", "cgat /")):
        form = form.replace(*named)
    assert found == form
