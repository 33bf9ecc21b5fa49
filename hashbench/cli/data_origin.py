"""What `hashbench data get NAME` prints of a data set's origin."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from hashbench.data.origins import ORIGINS, SHIPPED, Origin, OriginFile
from hashbench.errors import UsageError

_WIDTH = 80
_LABEL = 13
"""Columns before the text, as in `hashbench data check`."""


def found_origin(text: str) -> tuple[str, Origin]:
    """The data set that is meant, and where it comes from.

    Args:
        text: its name; parameters behind a colon are left aside.

    Raises:
        UsageError: nothing is known of it.
    """
    from hashbench import plugins
    from hashbench.plugins import Kind, Spec
    from hashbench.suggestions import did_you_mean

    name = Spec.parse(text).name
    if name in ORIGINS:
        return name, ORIGINS[name]
    if name in SHIPPED:
        raise UsageError(f"data set '{name}' ships with hashbench: there is nothing to get")
    if name in plugins.names(Kind.DATASET):
        raise UsageError(
            f"data set '{name}' reads files of your own: there is nothing to get; origins are "
            f"known of {', '.join(ORIGINS)}"
        )
    raise UsageError(f"there is no data set '{name}'{did_you_mean(name, ORIGINS)}")


def told(name: str, origin: Origin) -> Iterator[str]:
    """The lines, at most 80 columns wide where no address is longer."""
    yield from _labelled("data set", f"{name}: {origin.title}")
    yield from _labelled("address", origin.address)
    yield from _labelled("licence", origin.licence)
    yield from _labelled("fetched", _how_fetched(name, origin))
    for number, text in enumerate(origin.lists):
        yield from _labelled("" if number else "list files", text)
    for number, text in enumerate(origin.notes):
        yield from _labelled("" if number else "notes", text)
    if origin.files:
        yield ""
        yield "to download:"
        yield from _files(origin.files)
    if origin.list_files:
        yield ""
        yield "list files, as they are in ProS-GAN's repository:"
        yield from _files(origin.list_files)
    yield ""
    yield "the folder that --root names:"
    longest = max(len(path) for path, what in origin.tree if what)
    for path, what in origin.tree:
        line = f"  {path:{longest}}  {what}".rstrip()
        yield from [line] if len(line) <= _WIDTH else [f"  {path}", f"      {what}".rstrip()]


def _how_fetched(name: str, origin: Origin) -> str:
    if not origin.fetched:
        return "no: by hand, under its terms"
    return (
        f"{origin.size / 1e6:.0f} MB, with hashbench data get {name} --fetch --to FOLDER; "
        "otherwise by hand"
    )


def _files(files: Sequence[OriginFile]) -> Iterator[str]:
    for file in files:
        size = f"{file.size:,} bytes" if file.size is not None else file.about
        yield f"  {file.name}, {size or 'size not public'}"
        if file.address:
            yield f"      {file.address}"
        for kind, digest in (("SHA-256", file.sha256), ("MD5", file.md5)):
            if digest:
                yield f"      {kind} {digest}"
        if not file.sha256 and not file.md5:
            yield "      no checksum is public"


def _labelled(label: str, text: str) -> list[str]:
    # An address is never broken: it is to be copied.
    lines = textwrap.wrap(
        text, _WIDTH - _LABEL, break_long_words=False, break_on_hyphens=False
    ) or [""]
    return [f"{label if not at else '':{_LABEL}}{line}" for at, line in enumerate(lines)]
