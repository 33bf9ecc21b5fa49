"""Which format `hashbench report` writes: as it is told, or as the file's name ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hashbench.errors import UsageError

if TYPE_CHECKING:
    from hashbench.plugins import Format

DEFAULT: Final = "terminal"
"""The format that is written where neither an option nor a file's name says one."""

_PICTURES: Final = (".png", ".svg", ".pdf", ".jpg")


def chosen(given: str | None, output: Path | None) -> str:
    """The format, as `--format` would name it.

    Args:
        given: what `--format` says.
        output: what `--output` says.

    Raises:
        UsageError: the two contradict each other, or the file's suffix is that of no format.
    """
    from hashbench.plugins import Spec

    suffix = "" if output is None else output.suffix.lower()
    if given is None and (output is None or not suffix or output.is_dir()):
        return DEFAULT
    by_suffix = _suffixes()
    names = by_suffix.get(suffix, [])
    if given is not None:
        name = Spec.parse(given).name
        if names and name not in names:
            raise UsageError(
                f"--format {given} and --output {output} contradict each other: a file *{suffix} "
                f"is of format {' or '.join(names)}; leave out --format, or name the file otherwise"
            )
        return given
    if DEFAULT in names:
        return DEFAULT
    if len(names) == 1:
        return names[0]
    if names:
        raise UsageError(
            f"--output {output}: formats {' and '.join(names)} write *{suffix}; say which one, as "
            f"in --format {names[0]}"
        )
    if suffix in _PICTURES:
        raise UsageError(
            f"--output {output}: pictures are several files: --format plots --output FOLDER"
        )
    known = ", ".join(f"*{ending} ({names[0]})" for ending, names in sorted(by_suffix.items()))
    raise UsageError(
        f"--output {output}: no format is known by *{suffix}; say one with --format, or name the "
        f"file {known}"
    )


def taken_by(suffix: str) -> str:
    """Whose a suffix is: a format's name, `plots` of pictures; empty of one that is free."""
    names = _suffixes().get(suffix.lower(), ["plots"] if suffix.lower() in _PICTURES else [])
    return names[0] if names else ""


def built(
    text: str, given: Mapping[str, object], *, full: bool, pictures: Sequence[str] = ()
) -> Format:
    """A format by its name.

    Args:
        text: its name, maybe with parameters.
        given: further parameters.
        full: whether everything is asked for; for a format that has a parameter of that name and
            was not told it.
        pictures: links to pictures that are written beside it; likewise.

    Raises:
        UsageError: there is none, or it has no such parameter.
    """
    from hashbench import plugins
    from hashbench.plugins.parameters import field_types

    spec = plugins.Spec.parse(text)
    entry = plugins.registry(plugins.Kind.FORMAT).find(plugins.Kind.FORMAT, spec.name)
    said: dict[str, Any] = dict(given)
    types, own = field_types(entry.plugin), dict(spec.given)
    if types.get("full") is bool and "full" not in own:
        said["full"] = full
    if pictures and types.get("pictures") == tuple[str, ...] and "pictures" not in own:
        said["pictures"] = tuple(pictures)
    found = plugins.get("format", text, **said)
    if not isinstance(found, plugins.Format):
        raise UsageError(f"format '{text}' is no subclass of hashbench.plugins.Format")
    return found


def _suffixes() -> dict[str, list[str]]:
    """The formats of one file, by how the file's name ends."""
    from hashbench import plugins

    found: dict[str, list[str]] = {}
    kind = plugins.Kind.FORMAT
    entries = plugins.registry(kind).entries
    for name in plugins.names(kind):
        plugin = entries[kind, name][0].plugin
        if not issubclass(plugin, plugins.Format):
            continue
        if plugin.one_file or plugin.files is plugins.Format.files:
            found.setdefault(plugin.suffix.lower(), []).append(name)
    return found
