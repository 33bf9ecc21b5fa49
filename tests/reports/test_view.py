"""What `hashbench report` prints by itself, of which part, and in which form it writes a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hashbench import UsageError
from hashbench.cli.report import report
from hashbench.reports.comma_separated import CommaSeparated
from hashbench.reports.markdown import Markdown
from hashbench.reports.terminal import Terminal
from hashbench.results.asked import Asked
from hashbench.results.cell import Status
from hashbench.results.results import Results
from hashbench.results.selection import Selection, last_asked, selected

Command = Callable[..., Any]

SCREEN = """\
fashion, csq, small-cnn, 32 bits, eps 24/255
mAP over the whole ranking, in percent

#  defense  clean  noise  auto   hag  pgd-hamming  sdha  smooth-ap  worst case
──────────────────────────────────────────────────────────────────────────────
1  cgat      71.0   70.8  49.8  59.0         54.2  60.8       49.9        49.8
2  atrdh     76.3   75.8  28.2  39.4         34.4  45.7       28.5        28.2
3  none      75.6   74.8  9.6†  14.4         11.5  22.9       9.9†        9.6†

#  defense  chance  floor
─────────────────────────
1  cgat       10.1    5.2
2  atrdh      10.1    5.2
3  none       10.1    5.2

† at or below chance (10.1): a random order does as well. An attack can push a
  useful model far below it; a defense that stays there is not robust.
Worst case: per query the lowest AP over all untargeted attacks, then the
  mean; it ranks the models. Chance: a random order. Floor: the opposite of the
  center codes.

Intervals, ties, codes, cost and settings: hashbench report results --full
"""
"""What `make demo` ends with, but that every query has the mean here."""

DEMO = {
    "none": (0.756, {"noise": 0.748, "auto": 0.096, "hag": 0.144, "pgd-hamming": 0.115}),
    "atrdh": (0.763, {"noise": 0.758, "auto": 0.282, "hag": 0.394, "pgd-hamming": 0.344}),
    "cgat": (0.71, {"noise": 0.708, "auto": 0.498, "hag": 0.59, "pgd-hamming": 0.542}),
}
MORE = {
    "none": {"sdha": 0.229, "smooth-ap": 0.099},
    "atrdh": {"sdha": 0.457, "smooth-ap": 0.285},
    "cgat": {"sdha": 0.608, "smooth-ap": 0.499},
}


def fill(book: Any) -> Any:
    for defense, (clean, attacks) in DEMO.items():
        book.clean(defense, clean, chance=0.101, floor=0.052)
        for attack, value in {**attacks, **MORE[defense]}.items():
            book.attacked(defense, attack, value)
    return book


def asked(results: Results, *runs: tuple[str, Callable[[Any], bool]]) -> Results:
    """Results of which every run asked for the cells that its function takes."""
    made = [
        Asked("results", name, frozenset(r.cell for r in results.cells if takes(r.cell)))
        for name, takes in runs
    ]
    return replace(results, asked=tuple(made))


@pytest.fixture
def run(run_on: Command) -> Command:
    """Run `hashbench report` on results."""
    return partial(run_on, report)


def test_the_last_24_lines_are_the_ranking_and_its_notes(run: Command, book: Any) -> None:
    results = fill(book).results()
    done = run(results)
    assert done.exit_code == 0
    assert done.stdout == SCREEN
    assert len(SCREEN.splitlines()) <= 24
    # In full the ranking with its notes is last as well, and everything is above it.
    full = run(results, "--full").stdout
    ranking = SCREEN[: SCREEN.index("Worst case: ")]
    assert full.endswith("\n\n" + ranking)
    for part in ("Ties: ", "Codes: ", "Cost: ", "Setting: ", "Training: "):
        assert f"\n{part}" in full
        assert f"\n{part}" not in SCREEN
    # A file has everything, as it always had.
    run(results, "-o", "report.txt")
    assert Path("report.txt").read_text() == Terminal().render(results)


def unfinished(book: Any) -> Results:
    """A finished run of the quick suite, before it another one that was interrupted."""
    results: Results = fill(book).results()
    book.attacked("cgat", "random-search", 0.62)
    book.lost("atrdh", "random-search", "it was not run, or not to the end", status=Status.MISSING)
    results = book.results()
    return asked(
        results,
        ("mine", lambda cell: cell.attack in ("none", "random-search")),
        ("quick", lambda cell: cell.attack != "random-search"),
    )


def test_the_last_run_is_shown_and_says_so(run: Command, book: Any) -> None:
    results = unfinished(book)
    done = run(results)
    # What an earlier run left unfinished is not what was asked for last.
    assert done.exit_code == 0
    table, _, below = done.stdout.partition("  center codes.\n\n")
    assert table + "  center codes.\n" == SCREEN[: SCREEN.rindex("\nIntervals, ")]
    assert " ".join(below.split()) == (
        "Shown: the last run (suite quick), 21 of 23 cells. The other runs, and intervals, ties, "
        "codes, cost and settings: hashbench report results --full. A part of them: --suite, "
        "--dataset, --defense, --attack, --eps, --seed, ..."
    )
    # The other run is unfinished, and its own report says that.
    other = run(results, "--suite", "mine")
    assert other.exit_code == 1
    assert "atrdh: random-search not run" in " ".join(other.stdout.split())
    assert "Selected: 5 of 23 cells." in other.stdout
    assert "random-search" in run(results, "--full").stdout


def test_a_suite_of_any_name_steers_no_terminal(run: Command, book: Any) -> None:
    results = asked(fill(book).results(), ("\x1b[31mred\u202e", lambda cell: cell.attack == "none"))
    said = run(results, "--format", "terminal:color=never").stdout
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "(suite \\x1b[31mred\\u202e)" in said


@pytest.mark.parametrize("name", ["csv", "markdown", "terminal"])
def test_a_file_of_a_folder_is_of_everything_in_it(run: Command, book: Any, name: str) -> None:
    results = unfinished(book)
    form = {"csv": CommaSeparated(), "markdown": Markdown(), "terminal": Terminal()}[name]
    done = run(results, "--format", name, "-o", "there")
    assert done.exit_code == 0
    assert Path("there").read_text() == form.render(results)


@pytest.mark.parametrize("name", ["csv", "markdown", "terminal", "plots"])
def test_every_format_takes_the_part(run: Command, book: Any, name: str) -> None:
    results = unfinished(book)
    words = ("--attack", "hag", "--attack", "noise", "--defense", "cgat", "--eps", "24/255")
    part = selected(results, Selection(attack=("hag", "noise"), defense=("cgat",)))
    assert len(part.cells) == 3
    done = run(results, *words, "--format", name, "-o", "there")
    assert done.exit_code == 0, done.output
    if name == "plots":
        from hashbench.reports.plots.files import plot_files

        assert {path.name: path.read_bytes() for path in Path("there").iterdir()} == plot_files(
            part
        )
        return
    form = {"csv": CommaSeparated(), "markdown": Markdown(), "terminal": Terminal()}[name]
    assert Path("there").read_text() == form.render(part)


def test_what_was_asked_for_last_decides_the_exit_code(run: Command, book: Any) -> None:
    results = unfinished(book)
    turned = replace(results, asked=results.asked[::-1])
    assert last_asked(turned).failed
    assert run(turned).exit_code == 1
    assert run(turned, "--format", "csv").exit_code == 1
    assert run(turned, "--suite", "quick").exit_code == 0


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["-o", "r.md"], "# Robustness of deep hashing"),
        (["-o", "r.MD"], "# Robustness of deep hashing"),
        (["-o", "r.csv"], "dataset,loss"),
        (["-o", "r.txt"], "fashion, csq"),
        (["-o", "r"], "fashion, csq"),
        (["-o", "r.log", "--format", "csv"], "dataset,loss"),
        (["-o", "r.md", "--format", "markdown"], "# Robustness of deep hashing"),
    ],
)
def test_the_suffix_chooses_the_format(
    run: Command, book: Any, words: list[str], begins: str
) -> None:
    done = run(fill(book).results(), *words)
    assert (done.exit_code, done.stdout) == (0, "")
    assert Path(words[1]).read_text().startswith(begins)


@pytest.mark.parametrize(
    ("words", "sentences"),
    [
        (
            ["-o", "r.md", "--format", "csv"],
            ["--format csv and --output r.md contradict", "markdown"],
        ),
        (["-o", "r.csv", "--format", "terminal:color=always"], ["contradict each other", "csv"]),
        (["-o", "r.md", "--format", "plots"], ["contradict each other", "markdown"]),
        (["-o", "r.png"], ["--format plots --output FOLDER"]),
        (["-o", "r.docx"], ["no format is known by *.docx", "*.md (markdown)", "--format"]),
    ],
)
def test_a_suffix_that_says_otherwise_is_told(
    run: Command, book: Any, words: list[str], sentences: list[str]
) -> None:
    done = run(fill(book).results(), *words)
    assert isinstance(done.exception, UsageError)
    for sentence in sentences:
        assert sentence in str(done.exception)
    assert not Path(words[1]).exists()


def test_colours_stay_a_matter_of_the_format(run: Command, book: Any) -> None:
    done = run(fill(book).results(), "--format", "terminal:color=always,full=true")
    assert "\x1b[" in done.stdout
    assert "Ties: " in done.stdout


@pytest.mark.parametrize("width", [80, 100])
def test_a_row_of_ties_takes_a_line_and_heads_keep_names_whole(book: Any, width: int) -> None:
    for seed in (0, 1):
        for defense in ("none", "cgat:inner_steps=14", "control-quantised"):
            book.clean(defense, 0.7, seed)
            for attack in ("noise", "hag", "pgd-hamming:steps=10", "random-search", "smooth-ap"):
                book.attacked(defense, attack, 0.3, seed)
    text = Terminal().render(book.results(), width=width)
    table = text.partition("Ties: ")[2].partition("\n\n")[2].partition("\n\nCodes: ")[0]
    head, rule, *rows = table.splitlines()
    assert head.split() == ["defense", "attack", "mAP", "ties"]
    assert set(rule) == {"─"}
    assert len(rows) == 3 * 6
    assert all(row.strip() for row in rows)
    assert "pgd-\n" not in text
    for line in text.splitlines():
        assert not line.rstrip().endswith(("pgd-", "random-", "smooth-"))


def test_worst_cases_over_other_attacks_are_no_line_of_a_plot(book: Any) -> None:
    from hashbench.reports.board.leaderboard import leaderboards
    from hashbench.reports.plots.eps import _panels

    for defense in ("none", "cgat"):
        book.clean(defense, 0.7)
        for eps in ("8/255", "24/255"):
            book.attacked(defense, "hag", 0.3, eps=eps)
    assert [name for name, _ in _panels(leaderboards(book.results()))] == ["worst case", "hag"]
    for defense in ("none", "cgat"):
        book.attacked(defense, "sdha", 0.2, eps="24/255")
    assert [name for name, _ in _panels(leaderboards(book.results()))] == ["hag", "sdha"]
