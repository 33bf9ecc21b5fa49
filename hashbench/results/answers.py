"""What report formats return, held against their contract: the one way to call them."""

from __future__ import annotations

from collections.abc import Mapping

from hashbench.errors import PluginError
from hashbench.plugins.blame import broken_contract, came, expected, refusing
from hashbench.results.contract import Format
from hashbench.results.matches.results import MatchResults
from hashbench.results.results import Results

_FAILS = " cannot write this report:"


def rendered(
    format: Format,  # noqa: A002
    results: Results | MatchResults,
    *,
    width: int | None = None,
) -> str:
    """The report of a format of one text; arguments as `Format.render`, or `render_matches`.

    Raises:
        UsageError: its code raised something, or returned no text; names file and line. Or it has
            no tables of matches.
    """
    with refusing(format, _FAILS):
        if isinstance(results, MatchResults):
            method, text = "render_matches", format.render_matches(results, width=width)
        else:
            method, text = "render", format.render(results, width=width)
        return expected(format, method, text, str, "return the report as a text")


def files_of(
    format: Format,  # noqa: A002
    results: Results | MatchResults,
    *,
    width: int | None = None,
) -> Mapping[str, bytes]:
    """The report of a format of several files; arguments as `Format.files`, or `match_files`.

    Raises:
        UsageError: its code raised something, or returned no bytes by name; names file and line. Or
            it has no tables of matches.
    """
    with refusing(format, _FAILS):
        if isinstance(results, MatchResults):
            method, answer = "match_files", format.match_files(results, width=width)
        else:
            method, answer = "files", format.files(results, width=width)
        wanted = "return {'name.html': content, ...}"
        found: Mapping[str, bytes] = expected(format, method, answer, Mapping, wanted)
        for name, content in found.items():
            if not isinstance(name, str):
                raise _wrong(format, method, f"return names in text, but one is {came(name)}")
            if not isinstance(content, bytes):
                said = f"return bytes by name, but '{name}' is {came(content)}"
                raise _wrong(format, method, said)
        return found


def file_of(format: Format, results: Results | MatchResults) -> bytes:  # noqa: A002
    """The report of a format that gives one file, text or not; see `Format.one_file`.

    Raises:
        UsageError: its code raised something, or gave another number of files.
    """
    if is_text(format):
        return rendered(format, results).encode()
    found = files_of(format, results)
    if len(found) != 1:
        method = "match_files" if isinstance(results, MatchResults) else "files"
        said = f"return one file, since it says one_file = True, but returned {len(found):,}"
        raise _wrong(format, method, said, "leave out one_file where there are several")
    return next(iter(found.values()))


def is_one_file(format: Format) -> bool:  # noqa: A002
    """Whether its report is one file, text or not: what `--output` names."""
    with refusing(format, _FAILS):
        return is_text(format) or bool(format.one_file)


def is_text(format: Format) -> bool:  # noqa: A002
    """Whether its report is one text; see `Format.is_text`."""
    with refusing(format, _FAILS):
        return bool(format.is_text)


def _wrong(
    format: Format,  # noqa: A002
    method: str,
    what: str,
    remedy: str = "a text becomes bytes by text.encode()",
) -> PluginError:
    return broken_contract(format, method, f"must {what}", remedy)
