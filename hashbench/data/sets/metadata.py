"""The data set `metadata`: images beside a metadata.jsonl or metadata.csv."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from hashbench.characters import shortened, shown
from hashbench.coercion import quoted as quoted_value
from hashbench.data.layouts import roles
from hashbench.data.layouts.columns import LABEL_COLUMNS, NONE, choice, split_column
from hashbench.data.layouts.file_names import METADATA
from hashbench.data.layouts.folders import entries
from hashbench.data.layouts.labels import (
    LabelLists,
    Repeats,
    Rows,
    Values,
    label_text,
    labelled,
    one_label,
)
from hashbench.data.layouts.metadata_file import FILE_NAME, read_fields
from hashbench.data.layouts.own import Found, OwnDataset
from hashbench.data.layouts.recognised import Layout, looks_like
from hashbench.data.layouts.roles import AUTO
from hashbench.data.lists.image_paths import clean_path
from hashbench.data.sources import local_name
from hashbench.errors import UsageError
from hashbench.plugins import dataset


@dataset("metadata", cite="the layout of HuggingFace's imagefolder with metadata.jsonl")
@dataclass(frozen=True)
class Metadata(OwnDataset):
    """Images of your own beside a `metadata.jsonl` or `metadata.csv`, as HuggingFace lays them out.

    Each line has the field `file_name`, the path from the file's folder, and the labels: a name, a
    class number, or a list of them; of a metadata.csv one label. The file lies in the root, or one
    lies in each folder that is named like a split (train, test, ...). Splits are these folders, or
    the values of a field `split`; otherwise a split is drawn. A `classes.txt` in the root gives the
    classes and their order.

    Attributes:
        labels: the field of labels, by default one named label, class, category or the like; a
            field inside another is written with a point, as in `objects.categories`.
        split: the field of splits' names; by default one named split; `none` for none.
        values: whether a list of labels holds `classes`, or is `onehot`: 0 or 1 for each.
        rows: whether a line is an `image`, or one `label` of an image that has several lines.
    """

    labels: str = AUTO
    split: str = AUTO
    values: Values = Values.CLASSES
    rows: Repeats = Repeats.IMAGE

    holds: ClassVar[str] = "a metadata.jsonl or metadata.csv, and the images below it"

    @override
    def find(self, home: Path) -> Found:
        lists = LabelLists(self.values)
        parts: dict[str, Rows] = {}
        for name, file in self._files(home).items():
            parts |= self._read(name, file, lists)
        if not any(rows.paths for rows in parts.values()):
            raise UsageError(f"{home}: the metadata name no image")
        return labelled(home, parts, self.rows, lists.columns(home))

    def _files(self, home: Path) -> dict[str, Path]:
        """The metadata file of each split folder; one without a name where it holds all."""
        alone = _metadata_in(home)
        if alone is not None:
            return {"": alone}
        if self.split not in (AUTO, NONE):
            raise UsageError(
                f"{home}: split={shown(shortened(self.split))} is a field of one metadata file for "
                "all, but there is none here; folders with a file each are splits by their names"
            )
        asked = {name for some in self._asked.names.values() for name in some}
        found = {
            entry.name: file
            for entry in entries(home)
            if entry.folder and (roles.kind_of(entry.name) or entry.name in asked)
            if (file := _metadata_in(home / local_name(entry.name))) is not None
        }
        if not found:
            raise UsageError(
                f"{home}: no metadata.jsonl and no metadata.csv, neither here nor in folders named "
                f"like splits{looks_like(home, Layout.METADATA)}"
            )
        return found

    def _read(self, name: str, file: Path, lists: LabelLists) -> dict[str, Rows]:
        parts: dict[str, Rows] = {name: Rows(file)} if name else {}
        field, split = "", None
        for line, fields in read_fields(file):
            where = f"{file}, line {line}"
            if not field:
                there = [one for one in fields if one != FILE_NAME]
                nested = "." in self.labels and self.labels not in there
                field = (
                    self.labels
                    if nested
                    else choice(self.labels, there, LABEL_COLUMNS, "labels", where)
                )
                split = split_column(self.split, there, where) if not name else None
            part = _text(fields, split, where) if split else name
            path = _path(fields, name, where)
            parts.setdefault(part, Rows(file)).add(
                path, self._labels(_inside(fields, field, where), lists, where), line
            )
        return parts

    def _labels(self, value: Any, lists: LabelLists, where: str) -> tuple[str, ...]:
        if isinstance(value, list):
            return lists.read([label_text(one, where) for one in value], where)
        if self.values is Values.ONEHOT:
            raise UsageError(f"{where}: values=onehot, but the labels are no list")
        return (one_label(label_text(value, where), where),)


def _metadata_in(folder: Path) -> Path | None:
    names = [name for name in METADATA if (folder / name).exists()]
    if len(names) > 1:
        raise UsageError(f"{folder}: it holds {' and '.join(names)}; remove one of them")
    return folder / names[0] if names else None


def _inside(fields: Mapping[str, Any], name: str, where: str) -> Any:
    """The value of a field; of one inside another, `a.b`, in whichever row of a list it stands."""
    if name in fields:
        return fields[name]
    value: Any = fields
    for part in name.split("."):
        if isinstance(value, list):
            value = [one.get(part) if isinstance(one, dict) else None for one in value]
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            raise UsageError(f"{where}: there is no field '{shown(shortened(name))}'")
    return value


def _text(fields: Mapping[str, Any], name: str, where: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(
            f"{where}: the field '{shown(shortened(name))}' must be a text, found "
            f"{shown(quoted_value(value))}"
        )
    return value.strip()


def _path(fields: Mapping[str, Any], below: str, where: str) -> str:
    text = _text(fields, FILE_NAME, where)
    try:
        path = clean_path(text)
        return clean_path(f"{below}/{path}") if below else path
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None
