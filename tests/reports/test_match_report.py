"""`hashbench report` on folders of matches: what it writes, refuses, and tells by its exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hashbench import UsageError, plugins
from hashbench.cli.report import report
from hashbench.plugins import Format, lookup
from hashbench.results.matches.results import MatchResults
from hashbench.testing import sample_matches as sample

Command = Callable[..., Any]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[MatchResults]:
    """Every folder `matches` holds what stands in the list last."""
    found = [sample.ordinary()]
    plans, load = "hashbench.results.matches.plans", "hashbench.results.matches.load"
    monkeypatch.setattr(f"{plans}.holds_matches", lambda folder: folder.name == "matches")
    monkeypatch.setattr(f"{load}.load_matches", lambda *_: found[-1])
    return found


@pytest.fixture
def run(run_on: Command, held: list[MatchResults]) -> Iterator[Command]:
    """Run `hashbench report matches` in an empty folder; plugin files are forgotten behind it."""
    del held
    Path("matches").mkdir()
    yield lambda *options: run_on(report, None, "matches", *options)
    lookup._registry.cache_clear()


def form(name: str, **given: Any) -> Format:
    found = plugins.get("format", name, **given)
    assert isinstance(found, Format)
    return found


@pytest.mark.parametrize("name", ["terminal", "markdown", "latex", "html", "csv", "jsonl"])
def test_a_text_goes_to_the_screen_or_into_a_file(run: Command, name: str) -> None:
    shown = run("--format", name)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == form(name).render_matches(sample.ordinary(), width=80)
    written = run("--format", name, "--output", "r")
    assert (written.exit_code, written.output) == (0, "")
    assert Path("r").read_bytes() == form(name).render_matches(sample.ordinary()).encode()


def test_plots_lie_in_a_folder_and_markdown_shows_them(run: Command) -> None:
    done = run("-o", "r.md", "--plots", "plots")
    assert (done.exit_code, done.stderr) == (0, "6 files of format 'plots' in plots\n")
    assert "![photographs evasion](plots/photographs-evasion.png)" in Path("r.md").read_text()
    assert len(list(Path("plots").iterdir())) == 6


def test_pictures_alone_need_a_folder(run: Command) -> None:
    done = run("--format", "plots")
    assert isinstance(done.exception, UsageError)
    assert "several files: name a folder" in str(done.exception)


def test_what_speaks_against_the_numbers_is_told_and_exits_with_1(
    run: Command, held: list[MatchResults]
) -> None:
    held.append(sample.with_losses())
    done = run("--format", "csv", "-o", "r.csv")
    assert done.exit_code == 1
    (violation,) = sample.with_losses().violations
    assert done.stderr == f"WRONG {violation}\n"
    assert Path("r.csv").is_file()
    held.append(sample.only_losses())
    assert run().exit_code == 1


def test_a_part_of_matches_is_refused(run: Command) -> None:
    done = run("--attack", "evade")
    assert isinstance(done.exception, UsageError)
    assert "holds matches of fixed hashes, and is reported whole" in str(done.exception)


def test_matches_and_others_have_no_table_together(run: Command) -> None:
    Path("others").mkdir()
    done = run("others")
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == (
        "folder matches holds matches of fixed hashes, others does not: the two have no table "
        "together; report them one by one"
    )


def test_a_format_that_knows_no_matches_says_so(run: Command) -> None:
    Path("mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from hashbench.plugins import Format, report_format\n"
        "@report_format('mine')\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Format):\n"
        "    '''Mine.'''\n"
        "    def render(self, results, *, width=None):\n"
        "        return 'mine'\n"
    )
    done = run("--plugin", "mine.py", "--format", "mine")
    assert isinstance(done.exception, UsageError)
    assert "format 'mine' has no tables of matches" in str(done.exception)
