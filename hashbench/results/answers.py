"""What report formats return, held against their contract: the one way to call them."""

from __future__ import annotations

from collections.abc import Mapping

from hashbench.errors import PluginError
from hashbench.plugins.blame import broken_contract, came, expected, refusing
from hashbench.results.contract import Format
from hashbench.results.results import Results

_FAILS = " cannot write this report:"


def rendered(format: Format, results: Results, *, width: int | None = None) -> str:  # noqa: A002
    """The report of a format of one text; arguments as `Format.render`.

    Raises:
        UsageError: its code raised something, or returned no text; names file and line.
    """
    with refusing(format, _FAILS):
        text = format.render(results, width=width)
        return expected(format, "render", text, str, "return the report as a text")


def files_of(
    format: Format,  # noqa: A002
    results: Results,
    *,
    width: int | None = None,
) -> Mapping[str, bytes]:
    """The report of a format of several files; arguments as `Format.files`.

    Raises:
        UsageError: its code raised something, or returned no bytes by name; names file and line.
    """
    with refusing(format, _FAILS):
        found: Mapping[str, bytes] = expected(
            format,
            "files",
            format.files(results, width=width),
            Mapping,
            "return {'name.html': content, ...}",
        )
        for name, content in found.items():
            if not isinstance(name, str):
                raise _wrong(format, f"return names in text, but one is {came(name)}")
            if not isinstance(content, bytes):
                raise _wrong(format, f"return bytes by name, but '{name}' is {came(content)}")
        return found


def file_of(format: Format, results: Results) -> bytes:  # noqa: A002
    """The report of a format that gives one file, text or not; see `Format.one_file`.

    Raises:
        UsageError: its code raised something, or gave another number of files.
    """
    if is_text(format):
        return rendered(format, results).encode()
    found = files_of(format, results)
    if len(found) != 1:
        said = f"return one file, since it says one_file = True, but returned {len(found):,}"
        raise _wrong(format, said, "leave out one_file where there are several")
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
    what: str,
    remedy: str = "a text becomes bytes by text.encode()",
) -> PluginError:
    return broken_contract(format, "files", f"must {what}", remedy)
