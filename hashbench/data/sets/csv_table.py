"""The data set `csv`: a table of image paths and labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final

from typing_extensions import override

from hashbench.characters import shortened, shown
from hashbench.data.layouts import roles
from hashbench.data.layouts.columns import (
    LABEL_COLUMNS,
    NONE,
    PATH_COLUMNS,
    choice,
    split_column,
)
from hashbench.data.layouts.file_names import is_table
from hashbench.data.layouts.folders import entries
from hashbench.data.layouts.labels import (
    LabelLists,
    Repeats,
    Rows,
    Values,
    is_one,
    labelled,
    one_label,
)
from hashbench.data.layouts.own import Found, OwnDataset
from hashbench.data.layouts.recognised import Layout, looks_like
from hashbench.data.layouts.roles import AUTO
from hashbench.data.layouts.tables import Delimiter, Table, open_table
from hashbench.data.lists.image_paths import clean_path, quoted, without_prefix
from hashbench.data.sources import local_name
from hashbench.errors import UsageError
from hashbench.plugins import dataset
from hashbench.plugins.parameters import canonical

WHOLE: Final = "whole"
"""The separator that parts nothing."""

SEPARATORS: Final = {
    "comma": ",",
    "semicolon": ";",
    "pipe": "|",
    "space": None,
    "tab": "\t",
    "plus": "+",
}
"""Separators by name; None parts at any blanks."""

_SUSPECT: Final = re.compile(r"[;|,]")


@dataset("csv", cite="tables of paths and labels, as Kaggle and many others have them")
@dataclass(frozen=True)
class CSVTable(OwnDataset):
    """Images of your own, from a table with a row for each: a path and its labels.

    The root is the folder of the table; paths start from there. Splits are the values of a column
    `split`, or the files `train.csv`, `test.csv`, ...; otherwise a split is drawn. One label column
    holds names or class numbers: every different value is a class, so a column of 0 and 1 has two.
    Several label columns hold 0 or 1, one column for each class. A `classes.txt` beside the table
    gives the classes and their order.

    Attributes:
        file: the table; by default the only .csv or .tsv of the folder, or those named like splits.
        path: the column of paths; by default one named path, file, filename, image or the like.
        labels: the column of labels, by default one named label, class, category or the like; or
            several, as in `cat+dog`, a range as in `cat..dog`, or `all`, which is every column but
            path and split.
        split: the column of splits' names; by default one named split; `none` for none.
        separator: what parts several labels in one cell: a word (comma, semicolon, pipe, space,
            tab, plus) or the characters; `whole` takes a cell as one label, whatever it holds. By
            default a cell with a comma, semicolon or bar is refused.
        values: whether several labels in one cell are `classes`, or `onehot`: 0 or 1 for each.
        rows: whether a row is an `image`, or one `label` of an image that has several rows.
        delimiter: between cells; by default comma, semicolon, tab or bar, whichever parts the
            header.
        header: whether the first row names the columns; where not, they are numbered from 1.
        images: a folder below the root that paths start from.
        suffix: what is added to every path, such as `.jpg`.
        strip: what paths begin with on another machine, and is taken off: `/home/x/data`.
    """

    file: str = AUTO
    path: str = AUTO
    labels: str = AUTO
    split: str = AUTO
    separator: str = NONE
    values: Values = Values.CLASSES
    rows: Repeats = Repeats.IMAGE
    delimiter: Delimiter = Delimiter.AUTO
    header: bool = True
    images: str | None = None
    suffix: str | None = None
    strip: str | None = None

    holds: ClassVar[str] = "a table, and the images below it"

    @override
    def home(self, root: Path | None) -> Path | None:
        if root is not None and root.is_file():
            raise UsageError(
                f"root {root}: it is a file, expected a folder; name the table with "
                f"csv:file={root.name}, and its folder with --root"
            )
        return super().home(root)

    @override
    def protocol_name(self) -> str:
        """Without what changes no image that is searched."""
        return canonical(replace(self, wide=False, links=None, strip=None))

    @override
    def find(self, home: Path) -> Found:
        parts: dict[str, Rows] = {}
        columns: list[tuple[str, ...] | None] = []
        lists = LabelLists(self.values)
        files = self._files(home)
        for name, file in files.items():
            table = open_table(file, self.delimiter, self.path, header=self.header)
            reader = _Reader.of(self, table, lists, by_file=bool(name))
            columns.append(reader.columns)
            if columns[-1] != columns[0]:
                raise UsageError(f"{file}: its label columns are not those of the other tables")
            for line, cells in table.rows():
                part = reader.part(line, cells) if reader.split is not None else name
                rows = parts.setdefault(part, Rows(file))
                rows.add(reader.path(line, cells), reader.labels(line, cells), line)
            if name:
                parts.setdefault(name, Rows(file))
        if not any(rows.paths for rows in parts.values()):
            raise UsageError(
                f"{', '.join(map(str, files.values()))}: the table has no row below its header"
            )
        return labelled(home, parts, self.rows, columns[0] or lists.columns(home))

    def _files(self, home: Path) -> dict[str, Path]:
        """The tables, by the name of the split; one without a name where it holds all."""
        if self.file != AUTO:
            try:
                return {"": home / local_name(clean_path(self.file))}
            except ValueError as error:
                raise UsageError(f"file={shortened(self.file)}: {error}") from None
        names = [entry.name for entry in entries(home) if not entry.folder and is_table(entry.name)]
        if not names:
            raise UsageError(
                f"{home}: no table; expected a file that ends in .csv or .tsv, or name it with "
                f"file=NAME{looks_like(home, Layout.CSV)}"
            )
        if len(names) == 1:
            return {"": home / local_name(names[0])}
        stems = {Path(name).stem: name for name in names}
        asked = {name for some in self._asked.names.values() for name in some}
        if roles.are_splits(stems) or (asked and asked <= set(stems)):
            return {
                stem: home / local_name(name)
                for stem, name in stems.items()
                if roles.kind_of(stem) or stem in asked
            }
        raise UsageError(
            f"{home}: several tables ({roles.listed(names)}), and their names are not those of "
            "splits; say which one: file=NAME"
        )


@dataclass(frozen=True)
class _Reader:
    """Reads the rows of one table.

    Attributes:
        dataset: its parameters.
        file: the table.
        at: the place of the paths.
        wanted: the places of the label columns.
        columns: the classes, where each label column is one.
        lists: reads cells of several labels.
        split: the place of the splits' names.
    """

    dataset: CSVTable
    file: Path
    at: int
    wanted: tuple[int, ...]
    columns: tuple[str, ...] | None
    lists: LabelLists
    split: int | None

    @classmethod
    def of(cls, dataset: CSVTable, table: Table, lists: LabelLists, *, by_file: bool) -> _Reader:
        """Find the columns.

        Raises:
            UsageError: one is not there, or it is not clear which is meant.
        """
        there, where = table.columns, str(table.file)
        if is_table(dataset.path) and dataset.path not in there:
            raise UsageError(
                f"{where}: path={shortened(dataset.path)} is to name the column of image paths; "
                "the table itself is named with file=NAME"
            )
        path = choice(dataset.path, there, PATH_COLUMNS, "path", where)
        # A table that is a split by its name has such a column where it is asked for alone.
        asked = NONE if by_file and dataset.split == AUTO else dataset.split
        split = split_column(asked, there, where)
        others = [name for name in there if name not in (path, split)]
        names = _label_columns(dataset.labels, there, others, where)
        if path in names or split in names:
            raise UsageError(
                f"{where}: labels={shortened(dataset.labels)} holds the column of paths or splits"
            )
        several = len(names) > 1
        if several and dataset.separator not in (NONE, WHOLE):
            raise UsageError(
                f"{where}: separator parts the labels of one column, but {len(names)} are named; "
                "several label columns hold 0 or 1"
            )
        return cls(
            dataset=dataset,
            file=table.file,
            at=there.index(path),
            wanted=tuple(there.index(name) for name in names),
            columns=tuple(names) if several else None,
            lists=lists,
            split=None if split is None else there.index(split),
        )

    def where(self, line: int) -> str:
        return f"{self.file}, line {line}"

    def part(self, line: int, cells: Sequence[str]) -> str:
        """The name of a row's split."""
        assert self.split is not None
        name = cells[self.split]
        if not name:
            raise UsageError(f"{self.where(line)}: the name of the split is missing")
        return name

    def path(self, line: int, cells: Sequence[str]) -> str:
        """The path of a row's image, relative to the root."""
        given = self.dataset
        text = without_prefix(cells[self.at], given.strip)
        try:
            if text:
                text = clean_path(f"{text}{given.suffix or ''}")
                return clean_path(f"{given.images}/{text}") if given.images else text
        except ValueError as error:
            raise UsageError(f"{self.where(line)}: {error}") from None
        raise UsageError(f"{self.where(line)}: the path of the image is missing")

    def labels(self, line: int, cells: Sequence[str]) -> tuple[str, ...]:
        """The classes of a row."""
        where = self.where(line)
        if self.columns is not None:
            return tuple(
                name
                for name, place in zip(self.columns, self.wanted, strict=True)
                if is_one(cells[place], f"{where}, column '{shown(shortened(name))}'")
            )
        text, separator = cells[self.wanted[0]], self.dataset.separator
        if separator == WHOLE:
            return (one_label(text, where),)
        if separator != NONE:
            parts = (part.strip() for part in text.split(SEPARATORS.get(separator, separator)))
            return self.lists.read([part for part in parts if part], where)
        if _SUSPECT.search(text) or (" " in text and set(text) <= set("01 ")):
            raise UsageError(
                f"{where}: the label {quoted(text)} may be several; say what parts them, as in "
                "separator=semicolon, or separator=whole if it is one name"
            )
        return (one_label(text, where),)


def _label_columns(
    asked: str, there: Sequence[str], others: Sequence[str], where: str
) -> tuple[str, ...]:
    """The label columns that are named, in the order in which they are named."""
    if asked == AUTO or asked in there:
        return (choice(asked, there, LABEL_COLUMNS, "labels", where),)
    if asked == "all":
        if not others:
            raise UsageError(f"{where}: labels=all, but there is no column beside the paths")
        return tuple(others)
    names: list[str] = []
    for part in asked.split(roles.JOIN):
        first, dots, last = part.partition("..")
        if dots and part not in there:
            ends = [there.index(choice(end, there, (), "labels", where)) for end in (first, last)]
            names += there[ends[0] : ends[1] + 1]
        else:
            names.append(choice(part, there, (), "labels", where))
    if len(set(names)) != len(names) or not names:
        raise UsageError(
            f"{where}: labels={shortened(asked)} names a column twice, or a range that is empty"
        )
    return tuple(names)
