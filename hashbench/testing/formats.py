"""Checks of report formats, and the stage that they are tried on."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Final

from hashbench.errors import UsageError
from hashbench.plugins.blame import came
from hashbench.results.contract import Format
from hashbench.results.matches.results import MatchResults
from hashbench.results.results import Results
from hashbench.testing import sample_matches
from hashbench.testing import sample_results as sample
from hashbench.testing.checking import Check, NotTriedError, check, require, skip_unless
from hashbench.testing.surroundings import own_random_state

PAGES: Final = (".html", ".htm", ".svg", ".xhtml")
"""How files end whose tags somebody's browser runs."""


class FormatStage:
    """Lets one format write."""

    def __init__(self, format: Format) -> None:  # noqa: A002 - the field's word
        """Take a format, which is never changed."""
        self.plugin = format

    @property
    def blamed(self) -> tuple[object, str]:
        """Whose method breaks a rule where no other is named."""
        return self.plugin, "render" if self.plugin.is_text else "files"

    def answer(
        self, results: Results | MatchResults, width: int | None = None, seed: int = 0
    ) -> object:
        """Whatever it returns, of the method that it defines."""
        with own_random_state(seed):
            if isinstance(results, MatchResults):
                if self.plugin.is_text:
                    return self.plugin.render_matches(results, width=width)
                return self.plugin.match_files(results, width=width)
            if self.plugin.is_text:
                return self.plugin.render(results, width=width)
            return self.plugin.files(results, width=width)

    def files(
        self, results: Results | MatchResults, width: int | None = None, seed: int = 0
    ) -> Mapping[str, bytes]:
        """Its report as files; one text is one file."""
        found = self.answer(results, width, seed)
        if isinstance(found, str):
            return {f"report{self.plugin.suffix}": found.encode("utf-8", "surrogatepass")}
        return dict(found) if isinstance(found, Mapping) else {}

    @cached_property
    def usual(self) -> object:
        """What it makes of ordinary results."""
        return self.answer(sample.ordinary())


@check("answers", "it writes a report of ordinary results")
def answers(stage: FormatStage) -> None:
    stage.usual  # noqa: B018 - raises what the format raises


@check(
    "returns-a-report",
    "render() returns a text, files() bytes by name",
    needs=["answers"],
)
def returns_a_report(stage: FormatStage) -> None:
    method = "render()" if stage.plugin.is_text else "files()"
    _require_report(stage.usual, method, text=stage.plugin.is_text)


def _require_report(found: object, method: str, *, text: bool) -> None:
    if text:
        require(isinstance(found, str), f"{method} returned {came(found)}, not a text")
        return
    require(isinstance(found, Mapping), f"{method} returned {came(found)}, not bytes by name")
    assert isinstance(found, Mapping)
    for name, content in found.items():
        require(isinstance(name, str), f"{method} names {came(name)}, not a text")
        require(
            isinstance(content, bytes),
            f"{method} gives {came(content)} as '{name}', not bytes: a text becomes bytes by "
            "text.encode()",
        )


@check(
    "one-file",
    "where it says one_file = True, files() returns one file, whatever the results",
    needs=["returns-a-report"],
    method="files",
)
def one_file(stage: FormatStage) -> None:
    skip_unless(not stage.plugin.is_text and stage.plugin.one_file, "does not say one_file")
    for results in (sample.ordinary(), sample.several_groups(), sample.empty()):
        count = len(stage.files(results))
        require(count == 1, f"files() returned {count:,} files, but the class says one_file = True")


@check("says-something", "its report is not empty", needs=["returns-a-report"])
def says_something(stage: FormatStage) -> None:
    _require_words(stage.files(sample.ordinary()), "files()")


def _require_words(files: Mapping[str, bytes], method: str) -> None:
    require(bool(files), f"{method} returned no file")
    for name, content in files.items():
        require(bool(content.strip()), f"'{name}' is empty")


@check(
    "file-names",
    "its files' names are relative, and differ by more than case",
    needs=["returns-a-report"],
)
def file_names(stage: FormatStage) -> None:
    for results in (sample.ordinary(), sample.several_groups(), sample.foreign()):
        _require_names(list(stage.files(results)))


def _require_names(names: Sequence[str]) -> None:
    for name in names:
        place = PurePosixPath(name)
        require(
            bool(place.parts) and not place.is_absolute() and ".." not in place.parts,
            f"it names a file '{name}' outside of its folder",
        )
        require(
            name.isprintable() and not set(name) & set('<>:"|?*\\'),
            f"it names a file {name!r}, which not every system can have",
        )
    require(
        len({name.lower() for name in names}) == len(names),
        "two of its files differ in case alone: on some systems they are one",
    )


@check("suffix", "its suffix begins with a dot", method="suffix")
def suffix(stage: FormatStage) -> None:
    found: object = stage.plugin.suffix
    require(
        isinstance(found, str) and found.startswith(".") and len(found) > 1,
        f"suffix is {found!r}: write suffix = '.txt'",
    )


@check("repeats", "the same results give the same bytes", needs=["returns-a-report"])
def repeats(stage: FormatStage) -> None:
    _require_same(stage, sample.several_groups)


def _require_same(stage: FormatStage, made: Callable[[], Results | MatchResults]) -> None:
    for seed in (0, 1):  # built anew, so that no order of objects in memory helps
        again = stage.files(made(), seed=seed)
        first = stage.files(made())
        differing = sorted(
            name for name in {**first, **again} if first.get(name) != again.get(name)
        )
        require(
            not differing,
            f"written again, '{differing[0] if differing else ''}' is another: no dates, no "
            "process-wide randomness, no order of a set",
        )


@check("leaves-results-alone", "it does not change the results", needs=["answers"])
def leaves_results_alone(stage: FormatStage) -> None:
    results = sample.with_losses()
    before = copy.deepcopy(results)
    frame = results.to_frame()
    stage.answer(results)
    same = results == before and results.to_frame().equals(frame)
    require(
        same
        and all(
            dict(a.metrics) == dict(b.metrics)
            for a, b in zip(results.cells, before.cells, strict=True)
        ),
        "it changes the results that it is given: another format would print others",
    )


@check("empty", "it writes a report where there is no cell, or refuses by name", needs=["answers"])
def empty(stage: FormatStage) -> None:
    _written(stage, sample.empty(), "where there is no cell")


@check("failures", "it writes a report where cells failed or were not run", needs=["answers"])
def failures(stage: FormatStage) -> None:
    _written(stage, sample.with_losses(), "where cells failed")
    _written(stage, sample.only_losses(), "where every cell failed")


@check(
    "several-groups",
    "it writes a report of several data sets, losses, code lengths and seeds",
    needs=["answers"],
)
def several_groups(stage: FormatStage) -> None:
    _written(stage, sample.several_groups(), "of several data sets, losses and seeds")


def _written(stage: FormatStage, results: Results | MatchResults, when: str) -> None:
    try:
        stage.files(results)
    except UsageError:
        raise NotTriedError(f"refuses a report {when}") from None


@check("widths", "it writes for narrow and for wide terminals", needs=["returns-a-report"])
def widths(stage: FormatStage) -> None:
    for width in (20, 80, 400):
        stage.files(sample.several_groups(), width=width)


@check("utf-8", "its text can be written in UTF-8", needs=["returns-a-report"])
def utf_8(stage: FormatStage) -> None:
    skip_unless(stage.plugin.is_text, "gives files")
    text = stage.answer(sample.foreign())
    assert isinstance(text, str)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        require(False, f"its text cannot be written in UTF-8: {error.reason}")


@check(
    "foreign-text",
    "what strangers wrote steers no terminal and runs in no page",
    needs=["returns-a-report"],
)
def foreign_text(stage: FormatStage) -> None:
    _require_harmless(stage.files(sample.foreign()))


def _require_harmless(files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        require(
            sample.ESCAPE.encode() not in content,
            f"'{name}' holds a control sequence of a cell's reason as it is: show it with "
            "repr(), or leave out what str.isprintable() says no to",
        )
        require(
            not name.lower().endswith(PAGES) or sample.SCRIPT.encode() not in content,
            f"'{name}' holds a tag of a cell's text as it is: escape it with html.escape()",
        )


@check(
    "matches",
    "where it has tables of matches, it writes them: a text or bytes by name, for any width, where "
    "cells failed and where there is none",
    needs=["returns-a-report"],
    method="render_matches",
)
def matches(stage: FormatStage) -> None:
    skip_unless(stage.plugin.tells_matches, "has no tables of matches")
    method = "render_matches()" if stage.plugin.is_text else "match_files()"
    usual = sample_matches.ordinary()
    _require_report(stage.answer(usual), method, text=stage.plugin.is_text)
    _require_words(stage.files(usual), method)
    for width in (20, 80, 400):
        stage.files(sample_matches.several_sets(), width=width)
    for results in (sample_matches.with_losses(), sample_matches.only_losses()):
        _written(stage, results, "of matches that failed")
    _written(stage, sample_matches.empty(), "without a match")


@check(
    "matches-repeat",
    "the same matches give the same bytes, and stay as they are",
    needs=["matches"],
    method="render_matches",
)
def matches_repeat(stage: FormatStage) -> None:
    skip_unless(stage.plugin.tells_matches, "has no tables of matches")
    _require_same(stage, sample_matches.several_sets)
    given = sample_matches.ordinary()
    frame = given.to_frame()
    stage.answer(given)
    require(
        given.to_frame().equals(frame),
        "it changes the matches that it is given: another format would print others",
    )


@check(
    "matches-foreign-text",
    "names of hashes, attacks and pictures steer no terminal and run in no page",
    needs=["matches"],
    method="render_matches",
)
def matches_foreign_text(stage: FormatStage) -> None:
    skip_unless(stage.plugin.tells_matches, "has no tables of matches")
    files = stage.files(sample_matches.foreign())
    _require_names(list(files))
    _require_harmless(files)


FORMATS: tuple[Check[FormatStage], ...] = (
    answers,
    returns_a_report,
    one_file,
    says_something,
    file_names,
    suffix,
    repeats,
    leaves_results_alone,
    empty,
    failures,
    several_groups,
    widths,
    utf_8,
    foreign_text,
    matches,
    matches_repeat,
    matches_foreign_text,
)
