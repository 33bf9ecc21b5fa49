"""Which column of a table, or field of a metadata file, is meant: as asked, or by a usual name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from hashbench.characters import shortened, shown
from hashbench.data.layouts.roles import AUTO
from hashbench.errors import UsageError
from hashbench.suggestions import did_you_mean

NONE: Final = "none"
"""Asks for no column."""

PATH_COLUMNS: Final = (
    *("path", "file", "filename", "file_name", "filepath", "file_path"),
    *("image", "img", "image_path", "img_path", "image_name", "image_file"),
)
"""Usual names of the column of paths."""

LABEL_COLUMNS: Final = (
    *("label", "labels", "class", "classes", "class_name"),
    *("category", "categories", "target", "tags"),
)
"""Usual names of the column of labels."""

SPLIT_COLUMN: Final = "split"
"""The usual name of the column of splits' names."""

_HOLDS: Final[Mapping[str, str]] = {"path": "paths of the images", "labels": "labels"}


def choice(
    name: str, there: Sequence[str], usual: Sequence[str], parameter: str, where: str
) -> str:
    """The column or field that is meant: as asked, or the one of a usual name.

    Args:
        name: what was asked for, or `auto`.
        there: the columns that there are.
        usual: names to look for, in any case.
        parameter: that names it.
        where: the file, for an error.

    Raises:
        UsageError: there is none, or several could be meant.
    """
    if name != AUTO:
        if name not in there:
            raise UsageError(
                f"{where}: {parameter}={shortened(name)}, but there is no such column"
                f"{did_you_mean(name, map(shown, there))}"
            )
        return name
    found = [one for one in there if one.casefold() in usual]
    if len(found) != 1:
        which = "none is named as usual" if not found else "several could be meant"
        raise UsageError(
            f"{where}: say which column holds the {_HOLDS[parameter]}: {parameter}=COLUMN "
            f"({which}; columns: {listed_columns(there)})"
        )
    return found[0]


def split_column(name: str, there: Sequence[str], where: str) -> str | None:
    """The column or field of splits' names; None where there is none.

    Args:
        name: what was asked for, `auto` or `none`.
        there: the columns that there are.
        where: the file, for an error.

    Raises:
        UsageError: the one that was asked for is not there.
    """
    if name == NONE:
        return None
    if name != AUTO:
        return choice(name, there, (), "split", where)
    return next((one for one in there if one.casefold() == SPLIT_COLUMN), None)


def listed_columns(there: Sequence[str]) -> str:
    """Names of columns for an error, at most twenty of them."""
    return ", ".join(shown(shortened(one)) for one in there[:20]) or "none"
