"""A hash that a report prints is looked up: the card in full, or what is known instead."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from hashbench import UsageError
from hashbench.cli.app import app
from hashbench.reports.board.leaderboard import leaderboards
from hashbench.reports.text import sentences
from hashbench.results import load
from hashbench.results.lookup import named_by
from hashbench.results.provenance import Provenance
from hashbench.results.results import Results
from hashbench.testing import sample_results


@pytest.fixture
def results() -> Results:
    made = sample_results.several_groups()
    cells = tuple(
        replace(one, provenance=Provenance("r", f"{place:02x}" * 32, {"torch": "2\x1b"}))
        for place, one in enumerate(made.cells)
    )
    return replace(made, cells=cells)


def test_every_hash_of_a_caption_is_found(results: Results) -> None:
    for board in leaderboards(results):
        text = " ".join(sentences.caption(board))
        (protocol,) = re.findall(r"Protocol ([0-9a-f]{8})\.", text)
        (training,) = re.findall(r"Training ([0-9a-f]{8})\.", text)
        found = named_by(results, protocol)
        assert (found.kind, found.hash) == ("protocol", board.group.protocol)
        assert found.facts == board.protocol.to_plain()
        assert found.cells == sum(one.cell.protocol == found.hash for one in results.cells)
        found = named_by(results, training)
        assert (found.kind, found.facts) == ("training", board.training)


def test_a_key_leads_to_its_cell(results: Results) -> None:
    for place, one in enumerate(results.cells):
        found = named_by(results, f"{place:02X}" * 5 + "...")
        assert found.kind == "scores"
        assert found.facts["defense"] == one.cell.defense
        assert found.facts["attack"] == one.cell.attack
        assert found.facts["metrics"] == one.metrics


def test_what_is_not_known_is_told_with_what_is(results: Results) -> None:
    with pytest.raises(UsageError, match=r"begins with 'fedcba98'; known: protocol [0-9a-f]{8}"):
        named_by(results, "fedcba98")


def test_several_of_one_beginning_are_listed(results: Results) -> None:
    card = {"base": {"epochs": 1}}
    two = replace(results, trainings={"abcd1" + "0" * 59: card, "abcd1" + "0" * 58 + "1": card})
    with pytest.raises(UsageError, match=r"'abcd1' begins 2 hashes: training abcd10"):
        named_by(two, "abcd1")
    assert named_by(two, "abcd1" + "0" * 58 + "1").hash.endswith("1")


@pytest.mark.parametrize("text", ["", "abc", "xyz12345", "0" * 65, "a\x1b[31m", "../../etc", "--"])
def test_what_is_no_hash_is_refused(results: Results, text: str) -> None:
    with pytest.raises(UsageError, match="is no hash: expected 4 to 64") as caught:
        named_by(results, text)
    assert "\x1b" not in str(caught.value)


def test_the_command_prints_all_of_it(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def loaded(*folders: Any) -> Results:
        asked.append([str(folder) for folder in folders])
        return results

    monkeypatch.setattr(load, "read_folders", loaded)
    (key, protocol), *_ = results.protocols.items()
    done = CliRunner().invoke(app, ["lookup", key[:8]])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == f"protocol {key}"
    assert f"query: {protocol.query}" in done.stdout.splitlines()
    done = CliRunner().invoke(app, ["lookup", "00000000", "a", "b"])
    assert "  torch: 2\\x1b" in done.stdout.splitlines()
    assert asked == [["results"], ["a", "b"]]
    done = CliRunner().invoke(app, ["lookup", "fedcba98"])
    assert isinstance(done.exception, UsageError)
