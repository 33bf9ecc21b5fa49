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
                raise _wrong(format, f"names in text, but one is {came(name)}")
            if not isinstance(content, bytes):
                raise _wrong(format, f"bytes by name, but '{name}' is {came(content)}")
        return found


def is_text(format: Format) -> bool:  # noqa: A002
    """Whether its report is one text; see `Format.is_text`."""
    with refusing(format, _FAILS):
        return bool(format.is_text)


def _wrong(format: Format, what: str) -> PluginError:  # noqa: A002
    remedy = "a text becomes bytes by text.encode()"
    return broken_contract(format, "files", f"must return {what}", remedy)
