"""The data set `huggingface`: a folder that HuggingFace's `datasets` saved, or one of the hub."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from typing_extensions import override

from hashbench.characters import shortened, shown
from hashbench.coercion import quoted as quoted_value
from hashbench.data.cache.index import PackedImages
from hashbench.data.cache.stamps import OutsideFolderError, stamp_files
from hashbench.data.layouts.arrow_files import MARK, ArrowImages, Feature, Shard, features_of
from hashbench.data.layouts.columns import LABEL_COLUMNS, listed_columns
from hashbench.data.layouts.file_names import DATASET_DICT, ROWS, STATE
from hashbench.data.layouts.folders import entries
from hashbench.data.layouts.labels import (
    LabelLists,
    Rows,
    Values,
    label_text,
    labelled,
    one_label,
)
from hashbench.data.layouts.own import MAX_IMAGES, Found, OwnDataset
from hashbench.data.layouts.recognised import Layout, looks_like
from hashbench.data.layouts.roles import AUTO, kind_of, listed
from hashbench.data.lists.image_paths import clean_path
from hashbench.data.lists.listing import Listing
from hashbench.data.sources import local_name, told
from hashbench.errors import UsageError
from hashbench.files import read_json
from hashbench.plugins import dataset

MAX_INFO: Final = 1 << 24
"""Most bytes of a JSON file beside the data."""

_NAME: Final = re.compile(
    r"(?:.*[-_.])?(?P<split>[A-Za-z]+)(?:-\d+-of-\d+(?:-[0-9a-f]+)?)?\.(?:arrow|parquet)"
)
"""The split in names such as `train-00000-of-00002.parquet` and `cifar10-test.arrow`."""


@dataset("huggingface", cite="https://github.com/huggingface/datasets: save_to_disk, and the hub")
@dataclass(frozen=True)
class HuggingFace(OwnDataset):
    """A folder of HuggingFace's datasets on the disk, with the images in it.

    What `save_to_disk` writes (dataset_dict.json or state.json, and Arrow files), and Parquet files
    as the hub has them (`data/train-00000-of-00001.parquet`, `train/0000.parquet`). Labels are a
    ClassLabel or a sequence of them; otherwise names or numbers, one or a list. A split all of
    whose labels are missing or -1 counts as not there. Needs pip install 'hashbench[datasets]',
    which is pyarrow: no code of the data set is run, and nothing is downloaded.

    Attributes:
        image: the column of images; by default the only one.
        labels: the column of labels; by default the only ClassLabel, or one named label, class,
            category or the like.
        values: whether a list of labels holds `classes`, or is `onehot`: 0 or 1 for each.
    """

    image: str = AUTO
    labels: str = AUTO
    values: Values = Values.CLASSES

    holds: ClassVar[str] = "Arrow or Parquet files"

    @override
    def packed(self, listing: Listing) -> PackedImages | None:
        first = Shard(listing.root, listing.distinct[0].rpartition(MARK)[0])
        column = self._image_column(_features(first, _info(listing.root)), first)
        return ArrowImages(listing.root.resolve(), column)

    @override
    def find(self, home: Path) -> Found:
        lists, info = LabelLists(self.values), _info(home)
        parts: dict[str, Rows] = {}
        named: list[tuple[str, ...]] = []
        bare = []
        every = self._shards(home)
        _refuse_links(home, [shard for some in every.values() for shard in some], self.linked())
        for split, shards in every.items():
            rows, missing = Rows(home / local_name(split), unit="row"), list[str]()
            for shard in shards:
                features = _features(shard, info)
                self._image_column(features, shard)
                column = self._label_column(features, shard)
                named.append(features[column].names)
                if named[-1] != named[0]:
                    raise UsageError(f"{shard.file}: its classes are not those of the other files")
                missing += self._read(shard, column, features[column], lists, rows)
            if missing and len(missing) < len(rows.paths):
                raise UsageError(f"{missing[0]}: the label is missing")
            if missing:
                bare.append(split)
            else:
                parts[split] = rows
        if not parts:
            raise UsageError(f"{home}: no split has labels ({listed(bare)})")
        columns = named[0] or lists.columns(home)
        if columns is not None and len(set(columns)) != len(columns):
            raise UsageError(f"{home}: two classes bear one name")
        return labelled(home, parts, None, columns)

    def _shards(self, home: Path) -> dict[str, list[Shard]]:
        """The files of each split, in order."""
        file = home / DATASET_DICT
        if file.exists():
            stated = _json(file)
            splits = stated.get("splits") if isinstance(stated, Mapping) else None
            if not isinstance(splits, list) or not all(isinstance(one, str) for one in splits):
                raise UsageError(f"{file}: it names no splits")
            return {one: _saved(home, _inside(file, one)) for one in splits}
        if (home / STATE).exists():
            return {"": _saved(home, "")}
        found: dict[str, list[Shard]] = {}
        folders = [one.name for one in entries(home) if one.folder]
        below = [name for name in folders if name == "data" or kind_of(name)]
        for folder in ("", *below):
            for entry in entries(home / local_name(folder)):
                if entry.folder or not entry.name.endswith(ROWS):
                    continue
                match = _NAME.fullmatch(entry.name)
                split = match["split"] if match is not None else Path(entry.name).stem
                split = folder if kind_of(folder) else split
                path = f"{folder}/{entry.name}" if folder else entry.name
                found.setdefault(split, []).append(Shard(home, path))
        if not found:
            raise UsageError(
                f"{home}: no dataset_dict.json, no state.json and no .parquet file"
                f"{looks_like(home, Layout.HUGGINGFACE)}"
            )
        return found

    def _image_column(self, features: Mapping[str, Feature], shard: Shard) -> str:
        images = [name for name, feature in features.items() if feature.kind == "image"]
        return _chosen(self.image, features, images, "image", shard)

    def _label_column(self, features: Mapping[str, Feature], shard: Shard) -> str:
        known = [name for name, one in features.items() if one.kind in ("label", "labels")]
        usual = [name for name in features if name.casefold() in LABEL_COLUMNS]
        return _chosen(self.labels, features, known or usual, "labels", shard)

    def _read(
        self, shard: Shard, column: str, feature: Feature, lists: LabelLists, rows: Rows
    ) -> list[str]:
        """Add the rows of a file; gives back where the label is missing."""
        missing = []
        for row, value in enumerate(shard.column(column)):
            where = f"{shard.file}, row {row}"
            if len(rows.paths) >= MAX_IMAGES:
                raise UsageError(f"{where}: more than {MAX_IMAGES:,} images")
            if value is None or value == -1:
                labels: tuple[str, ...] = ()
                missing.append(where)
            elif feature.names and self.values is Values.CLASSES:
                several = value if isinstance(value, list) else [value]
                labels = tuple(dict.fromkeys(_name(one, feature.names, where) for one in several))
            elif isinstance(value, list):
                labels = lists.read([label_text(one, where) for one in value], where)
            else:
                labels = (one_label(label_text(value, where), where),)
            rows.add(f"{shard.path}{MARK}{row}", labels, row)
        return missing


def _chosen(
    asked: str, features: Mapping[str, Feature], fitting: Sequence[str], what: str, shard: Shard
) -> str:
    """The column that is asked for, or the only one that fits."""
    if asked != AUTO and asked in features:
        return asked
    if asked == AUTO and len(fitting) == 1:
        return fitting[0]
    columns = listed_columns(list(features))
    why = (
        f"there is no column '{shortened(asked)}'"
        if asked != AUTO
        else ("several could be meant" if fitting else "none is known as such")
    )
    raise UsageError(f"{shard.file}: say which column is meant: {what}=COLUMN ({why}; {columns})")


def _name(value: Any, names: Sequence[str], where: str) -> str:
    if not isinstance(value, int) or not 0 <= value < len(names):
        raise UsageError(
            f"{where}: the label is {shown(quoted_value(value))}, but there are {len(names):,} "
            "classes, from 0 on"
        )
    return names[value]


def _saved(home: Path, folder: str) -> list[Shard]:
    """The files that a state.json names."""
    path = home / local_name(folder) / STATE
    state = _json(path)
    files = state.get("_data_files") if isinstance(state, Mapping) else None
    entries_of = files if isinstance(files, list) else []
    names = [one.get("filename") if isinstance(one, Mapping) else None for one in entries_of]
    if not names or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{path}: it names no data files")
    below = f"{folder}/" if folder else ""
    return [Shard(home, f"{below}{_inside(path, str(name))}") for name in names]


def _refuse_links(home: Path, shards: Sequence[Shard], links: Path | None) -> None:
    """Refuse files that links lead out of the folder, before one of them is opened."""
    try:
        stamp_files(home.resolve(), [shard.path for shard in shards], links)
    except OutsideFolderError as error:
        first = shown(shortened(shards[error.places[0]].path))
        raise UsageError(
            f"{home}: a link leads the file '{first}' out of the folder ({len(error.places):,} "
            "such files); move them into it; the parameter links=FOLDER names a folder that links "
            "may lead into"
        ) from None


def _inside(file: Path, path: str) -> str:
    """A path that a file states, which leads out of no folder."""
    try:
        return clean_path(path)
    except ValueError as error:
        raise UsageError(f"{file}: {error}") from None


def _features(shard: Shard, info: Mapping[str, Feature]) -> dict[str, Feature]:
    """The columns of a file; those of which it says nothing as `info` says."""
    return {
        name: feature if feature.kind != "other" else info.get(name, feature)
        for name, feature in shard.features().items()
    }


def _info(home: Path) -> dict[str, Feature]:
    """The features of a dataset_info.json in the root, where the files do not state them."""
    path = home / "dataset_info.json"
    if not path.exists():
        return {}
    info = _json(path)
    return features_of(info.get("features") if isinstance(info, Mapping) else None)


def _json(path: Path) -> Any:
    with told(path):
        return read_json(path, MAX_INFO)
