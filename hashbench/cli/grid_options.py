"""The options of `hashbench run` that make a grid: how several values of one are written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from hashbench.characters import shortened, shown
from hashbench.errors import UsageError

NUMBERS: Final = ("bits", "eps", "seed")
PLUGINS: Final = ("dataset", "loss", "backbone", "defense", "attack")

_NAMED: Final = 3
"""How many values a message writes out."""

_RANGE: Final = re.compile(r"(\d{1,9})\s*(?:-|\.\.|:)\s*(\d{1,9})")
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(@[a-z0-9-]+)?(:.*)?")


def numbers_of(devices: str | None) -> tuple[int, ...]:
    """The numbers of `--devices 0,1,3`.

    Raises:
        UsageError: it is no such list.
    """
    if devices is None:
        return ()
    if not re.fullmatch(r"\d{1,4}(,\d{1,4})*", devices):
        raise UsageError(
            f"--devices takes numbers of GPUs, as in 0,1,3; found '{shortened(shown(devices))}'"
        )
    return tuple(int(number) for number in devices.split(","))


def check_repeats(options: Mapping[str, Any]) -> None:
    """Refuse several values in one: `--attack a,b`, `--bits 32,64`, `--seed 0-2`.

    Args:
        options: what was typed, by option.

    Raises:
        UsageError: that says how to write it.
    """
    for name in (*NUMBERS, *PLUGINS):
        for value in options.get(name) or ():
            parts = _parts(name, str(value))
            if len(parts) > 1:
                raise UsageError(
                    f"--{name} takes one value, found '{shortened(shown(str(value)))}': "
                    f"{_repeat(name, parts)}"
                )


def only_suite(words: Sequence[str] | None, typed: Sequence[str]) -> str | None:
    """The suite among what stands alone on the command line.

    Args:
        words: what stands alone.
        typed: the whole command line: it tells which option a word was meant for.

    Raises:
        UsageError: there are several; or there is one that is no suite, right after an option's
            value.
    """
    from hashbench.runner.suite_files import shipped

    if not words:
        return None
    strays = [word for word in words if word not in shipped() and not Path(word).exists()]
    for stray in strays:
        before = _option_before(stray, typed)
        if before is not None:
            name, values = before
            raise UsageError(
                f"'{shortened(shown(stray))}' stands alone, and is no suite: "
                f"{_repeat(name, values)}"
            )
    if len(words) > 1:
        raise UsageError(
            f"a run takes one suite, found {len(words)}: "
            f"{', '.join(shortened(shown(word)) for word in words)}"
        )
    return words[0]


@contextmanager
def about_suite(named: str | None) -> Iterator[None]:
    """Inside, errors name the suite file that they come from, where there is one.

    Raises:
        UsageError: one was raised.
    """
    try:
        yield
    except UsageError as error:
        if named is None or not Path(named).is_file():
            raise
        raise UsageError(f"suite {named}: {error}") from error


def _parts(name: str, value: str) -> list[str]:
    if name in NUMBERS:
        value = re.sub(r"\s*([:/])\s*", r"\1", value)  # 8 / 255 and l2: 0.5 are one radius each
        found = _RANGE.fullmatch(value.strip())
        parts = re.split(r"[\s,;]+", value.strip(" ,;"))
        return _counted_up(int(found[1]), int(found[2])) if found else parts
    # A comma also parts the parameters of one plugin, each with a sign of equality.
    parts = [""]
    for part in value.split(","):
        inside = ":" in parts[-1] and ("=" in part or not _NAME.fullmatch(part.strip()))
        if inside:
            parts[-1] += f",{part}"
        else:
            parts.append(part.strip())
    return [part for part in parts if part]


def _counted_up(first: int, last: int) -> list[str]:
    """The numbers of a range, as far as a message names them."""
    return [str(number) for number in range(first, max(first + 1, last) + 1)[: _NAMED + 1]]


def _option_before(word: str, typed: Sequence[str]) -> tuple[str, list[str]] | None:
    """The grid's option whose values a word was meant to join, and those values."""
    for place, one in enumerate(typed):
        name = one.removeprefix("--").partition("=")[0]
        if not one.startswith("--") or name not in (*NUMBERS, *PLUGINS):
            continue
        values = [one.partition("=")[2]] if "=" in one else []
        for after in typed[place + 1 :]:
            if after.startswith("--"):
                break
            values.append(after)
        if len(values) > 1 and word in values[1:]:
            return name, values
    return None


def _repeat(name: str, values: Sequence[str]) -> str:
    named = [f"--{name} {shortened(shown(value))}" for value in values[:_NAMED]]
    return f"repeat the option: {' '.join(named)}{' ...' if len(values) > _NAMED else ''}"
