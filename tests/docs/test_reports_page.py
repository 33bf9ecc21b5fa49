"""docs/reports.md: its commands run, and its table holds every format."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hashbench import plugins
from hashbench.cli.app import app
from hashbench.plugins import Format, Kind
from hashbench.reports.json_lines import VERSION
from hashbench.results import load
from hashbench.results.matches import load as load_of_matches
from hashbench.results.matches import plans
from hashbench.testing import sample_matches, sample_results
from support.pages import DOCS, blocks

PAGE = DOCS / "reports.md"

TEXT = PAGE.read_text()


def test_every_format_is_in_the_table() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (?:`r(\.\w+)`|a folder) \|", TEXT, re.MULTILINE)
    ours = {}
    for name in plugins.names(Kind.FORMAT):
        form = plugins.get(Kind.FORMAT, name)
        assert isinstance(form, Format)
        if type(form).__module__.startswith("hashbench."):
            ours[name] = form.suffix if form.is_text or form.one_file else ""
    assert dict(rows) == ours


def test_the_commands_do_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = sample_results.ordinary()
    monkeypatch.setattr(load, "read_folders", lambda *_: results)
    monkeypatch.setattr(plans, "holds_matches", lambda folder: folder.name == "matches")
    monkeypatch.setattr(load_of_matches, "load_matches", lambda *_: sample_matches.ordinary())
    monkeypatch.chdir(tmp_path)
    (protocol,), (training,) = results.protocols, results.trainings
    hashes = {"PROTOCOL": protocol[:8], "TRAINING": training[:8]}
    names = {one.cell.defense for one in results.cells}
    attacks = {one.cell.attack for one in results.cells} - {"none"}
    lines = [line for block in blocks(PAGE) for line in block.text.splitlines()]
    assert len(lines) > 9
    for line in lines:
        words = [hashes.get(word, word) for word in shlex.split(line)]
        # The sample has plugins of its own.
        words = [{"cgat": min(names), "auto": min(attacks)}.get(word, word) for word in words]
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, (line, done.output, done.exception)
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {
        *("report.md", "plots", "part.csv", "tables.tex", "page.tex", "cells.jsonl"),
        *("cells.parquet", "matches.html", "matches.csv", "matches.md"),
    }
    assert "](plots/photographs-evasion.png)" in Path("matches.md").read_text()
    assert Path("matches.csv").read_text().startswith("hash,attack,eps,metric,value,")
    assert "](plots/" in Path("report.md").read_text()
    assert "\\documentclass" in Path("page.tex").read_text()


def test_the_lines_are_those_that_the_page_names() -> None:
    form: Any = plugins.get("format", "jsonl")
    found = [json.loads(line) for line in form.render(sample_results.ordinary()).splitlines()]
    said = set(re.findall(r"^- `([\w-]+)`[,:]", TEXT, re.MULTILINE))
    assert {one["type"] for one in found} == said
    header, *_ = found
    assert header["version"] == VERSION
    for name in ("version", "protocols", "trainings", "reproduce"):
        assert name in header
    cell = next(one for one in found if one["type"] == "cell")
    for name in re.findall(r"`(\w+)`", TEXT.partition("- `cell`: ")[2].partition("- `worst")[0]):
        assert name in cell
