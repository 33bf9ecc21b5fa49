"""The conformance kit on report formats: a wrong one fails just the check of its broken rule."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from hashbench import UsageError
from hashbench.plugins import Format, report_format
from hashbench.results import Results
from hashbench.results.matches.results import MatchResults
from hashbench.testing import FORMAT_CHECKS, check_format
from hashbench.testing.identity import IDENTITY

COUNT = itertools.count()


def names(outcomes: Iterable[Any]) -> list[str]:
    return [outcome.check for outcome in outcomes]


def plain(results: Results) -> str:
    return f"{len(results.failed)} of {len(results.cells)} failed\n"


@report_format("sound")
@dataclass(frozen=True)
class Sound(Format):
    """Keeps every rule."""

    def render(self, results: Results, *, width: int | None = None) -> str:  # noqa: ARG002
        return plain(results)


@report_format("sound-files")
@dataclass(frozen=True)
class SoundFiles(Format):
    """Keeps every rule, in files."""

    def files(self, results: Results, *, width: int | None = None) -> Mapping[str, bytes]:  # noqa: ARG002
        return {"report.html": plain(results).encode(), "parts/one.txt": b"one"}


def count(matches: MatchResults) -> str:
    return f"{len(matches.failed)} of {len(matches.cells)} failed\n"


@report_format("sound-matches")
@dataclass(frozen=True)
class SoundMatches(Sound):
    """Keeps every rule, those of matches too."""

    def render_matches(self, matches: MatchResults, *, width: int | None = None) -> str:  # noqa: ARG002
        return count(matches)


@report_format("sound-match-files")
@dataclass(frozen=True)
class SoundMatchFiles(SoundFiles):
    """Keeps every rule, in files."""

    def match_files(
        self,
        matches: MatchResults,
        *,
        width: int | None = None,  # noqa: ARG002
    ) -> Mapping[str, bytes]:
        return {"matches.txt": count(matches).encode()}


def tells(name: str, render: Callable[[MatchResults], Any]) -> type[Format]:
    @report_format(name)
    @dataclass(frozen=True)
    class Changed(Sound):
        """Breaks one rule."""

        def render_matches(self, matches: MatchResults, *, width: int | None = None) -> Any:  # noqa: ARG002
            return render(matches)

    return Changed


def renders(name: str, render: Callable[[Results, int | None], Any]) -> type[Format]:
    @report_format(name)
    @dataclass(frozen=True)
    class Changed(Format):
        """Breaks one rule."""

        def render(self, results: Results, *, width: int | None = None) -> Any:
            return render(results, width)

        def __reduce__(self) -> Any:
            return by_name, (name,)

    return Changed


def gives(name: str, files: Callable[[Results], Any]) -> type[Format]:
    @report_format(name)
    @dataclass(frozen=True)
    class Changed(Format):
        """Breaks one rule."""

        def files(self, results: Results, *, width: int | None = None) -> Any:  # noqa: ARG002
            return files(results)

        def __reduce__(self) -> Any:
            return by_name, (name,)

    return Changed


def by_name(name: str) -> Any:
    """For copies."""
    return next(wrong for wrong in WRONG if wrong.card.name == name)()


@report_format("suffix")
@dataclass(frozen=True)
class NoDot(Sound):
    """Breaks one rule."""

    suffix = "txt"


@report_format("one-file")
@dataclass(frozen=True)
class TwoFiles(Format):
    """Breaks one rule."""

    suffix = ".bin"
    one_file = True

    def files(self, results: Results, *, width: int | None = None) -> Any:  # noqa: ARG002
        return {"a": plain(results).encode(), "b": plain(results).encode()}


def _unless(broken: Callable[[Results], bool]) -> Callable[[Results, int | None], str]:
    def render(results: Results, width: int | None) -> str:  # noqa: ARG001
        if broken(results):
            raise ZeroDivisionError("something went wrong")
        return plain(results)

    return render


def _changes(results: Results, width: int | None) -> str:  # noqa: ARG001
    for result in results.cells:
        dict.clear(result.metrics)  # type: ignore[arg-type]
    return plain(results)


def _narrow(results: Results, width: int | None) -> str:
    return plain(results) + "x" * (100 // (0 if width == 20 else 1))


def _reasons(results: Results, width: int | None) -> str:  # noqa: ARG001
    return plain(results) + "".join(result.reason for result in results.cells)


WRONG: tuple[type[Format], ...] = (
    renders("answers", _unless(lambda _: True)),
    renders("returns-a-report", lambda results, _: plain(results).encode()),
    TwoFiles,
    renders("says-something", lambda *_: " \n"),
    gives("file-names", lambda results: {"../up.txt": plain(results).encode()}),
    NoDot,
    renders("repeats", lambda results, _: f"{plain(results)} {next(COUNT)}"),
    renders("leaves-results-alone", _changes),
    renders("empty", _unless(lambda results: not results.cells)),
    renders(
        "failures", _unless(lambda results: "MemoryError" in {c.reason for c in results.cells})
    ),
    renders("several-groups", _unless(lambda results: len(results.protocols) > 1)),
    renders("widths", _narrow),
    renders("utf-8", lambda results, _: plain(results) + "\ud800"),
    renders("foreign-text", _reasons),
    tells("matches", lambda matches: count(matches).encode()),
    tells("matches-repeat", lambda matches: f"{count(matches)} {next(COUNT)}"),
    tells("matches-foreign-text", lambda matches: count(matches) + "".join(matches.troubles)),
)

ALSO = {
    # `widths` and `repeats` write the results of several groups too.
    "several-groups": {"widths", "repeats", "file-names"},
}
"""What a wrong one cannot help but break besides."""


@pytest.mark.parametrize("sound", [Sound, SoundFiles, SoundMatches, SoundMatchFiles])
def test_a_sound_format_passes(sound: type[Format]) -> None:
    report = check_format(sound)
    report.raise_failures()
    assert len(report.passed) >= 17
    skipped = [one.sentence for one in report.skipped if one.check == "matches"]
    assert skipped == ([] if sound().tells_matches else ["has no tables of matches"])


@pytest.mark.parametrize("wrong", WRONG, ids=lambda plugin: plugin.card.name)
def test_a_wrong_format_fails_its_check(wrong: type[Format]) -> None:
    report = check_format(wrong)
    name = wrong.card.name
    assert set(names(report.failed)) - ALSO.get(name, set()) == {name}, report.failed
    assert all("test_testing_formats.py:" in outcome.place for outcome in report.failed)


def test_every_check_has_its_wrong_format() -> None:
    checks = {one.name for one in FORMAT_CHECKS} - {one.name for one in IDENTITY}
    assert {wrong.card.name for wrong in WRONG} == checks


def test_tags_matter_in_pages_alone() -> None:
    """A text may show what strangers wrote, but for control sequences."""

    def shown(results: Results) -> str:
        return "".join(c for cell in results.cells for c in cell.reason if c.isprintable()) + "x"

    text = renders("text", lambda results, _: shown(results))
    page = gives("page", lambda results: {"index.html": shown(results).encode()})
    assert names(o for o in check_format(text()).failed if o.check == "foreign-text") == []
    assert names(o for o in check_format(page()).failed if o.check == "foreign-text") != []


def test_a_refusal_is_skipped() -> None:
    def refuse(results: Results, _: int | None) -> str:
        if not results.cells:
            raise UsageError("nothing to draw")
        return plain(results)

    report = check_format(renders("refusing", refuse)())
    assert "refuses a report where there is no cell" in [one.sentence for one in report.skipped]
