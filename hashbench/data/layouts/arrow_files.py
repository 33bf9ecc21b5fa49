"""Arrow and Parquet files of HuggingFace's `datasets`: features, labels, and the bytes of images.

Reads with pyarrow alone; `datasets` itself is not needed, and no code of a data set is run.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hashbench.characters import shortened, shown
from hashbench.data.cache.decode import MAX_BYTES, BrokenImageError
from hashbench.data.sources import local_name, told
from hashbench.errors import UsageError
from hashbench.files import opened

MARK: Final = "#"
"""Between the path of a file and the number of a row, from 0."""

MAX_GROUP: Final = 1 << 30
"""Most bytes of the images of one row group of a Parquet file, which is read whole."""

_SCHEMA_KEY: Final = b"huggingface"


@dataclass(frozen=True)
class Feature:
    """What a column holds.

    Attributes:
        kind: `image`, `label` for one class, `labels` for several, or `other`.
        names: of the classes, where the file states them.
    """

    kind: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shard:
    """One file of rows.

    Attributes:
        root: the data folder.
        path: of the file, relative to it.
    """

    root: Path
    path: str

    @property
    def file(self) -> Path:
        """Where the file lies."""
        return self.root / local_name(self.path)

    @property
    def parquet(self) -> bool:
        """Whether it is a Parquet file; otherwise it is an Arrow stream or file."""
        return self.path.endswith(".parquet")

    def features(self) -> dict[str, Feature]:
        """The columns, as the file's own metadata say it, or else its types.

        Raises:
            UsageError: it cannot be read.
        """
        with reading(self.file):
            if self.parquet:
                schema = _parquet().ParquetFile(self.file).schema_arrow
            else:
                schema = _batches(self.file)[0]
        stated = _stated(schema)
        return {
            name: stated.get(name) or _by_type(schema.field(name).type) for name in schema.names
        }

    def column(self, name: str) -> list[Any]:
        """The values of a column, as Python has them.

        Raises:
            UsageError: it cannot be read.
        """
        with reading(self.file):
            if self.parquet:
                read = _parquet().ParquetFile(self.file).read(columns=[name])
                return list(read.column(name).to_pylist())
            found: list[Any] = []
            for batch in _batches(self.file)[1]:
                found += batch.column(name).to_pylist()
        return found


@dataclass
class ArrowImages:
    """The images of files of rows; the paths are `FILE#ROW`. For several threads.

    Attributes:
        root: the data folder.
        column: of the images.
    """

    root: Path
    column: str
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _open: dict[str, Any] = field(default_factory=dict, repr=False)
    _group: tuple[str, int, int, Any] | None = field(default=None, repr=False)

    def file_of(self, path: str) -> str:
        """The path of the file that holds an image."""
        return path.rpartition(MARK)[0]

    def read(self, path: str) -> bytes:
        """The bytes of an image.

        Raises:
            BrokenImageError: there are none, or the file cannot be read.
        """
        file, _, row = path.rpartition(MARK)
        try:
            with self._lock:
                value = self._value(file, int(row))
        except UsageError as error:
            raise BrokenImageError(str(error)) from None
        return _bytes_of(value)

    def _value(self, file: str, row: int) -> Any:
        shard = Shard(self.root, file)
        with reading(shard.file):
            if shard.parquet:
                return self._of_group(shard, row)
            if file not in self._open:
                self._open = {file: list(_batches(shard.file)[1])}  # mapped, one file at a time
            for batch in self._open[file]:
                if row < batch.num_rows:
                    return batch.column(self.column)[row].as_py()
                row -= batch.num_rows
        raise UsageError(f"{shard.file}: it has no row {row}")

    def _of_group(self, shard: Shard, row: int) -> Any:
        if self._group is not None:
            file, first, end, column = self._group
            if file == shard.path and first <= row < end:
                return column[row - first].as_py()
        opened_file = _parquet().ParquetFile(shard.file)
        first = 0
        for number in range(opened_file.metadata.num_row_groups):
            group = opened_file.metadata.row_group(number)
            if row < first + group.num_rows:
                if group.total_byte_size > MAX_GROUP:
                    raise UsageError(
                        f"{shard.file}: a row group has {group.total_byte_size:,} bytes, expected "
                        f"at most {MAX_GROUP:,}; write it anew with smaller ones"
                    )
                self._group = None  # before the next one is in memory
                column = opened_file.read_row_group(number, columns=[self.column]).column(0)
                self._group = (shard.path, first, first + group.num_rows, column)
                return column[row - first].as_py()
            first += group.num_rows
        raise UsageError(f"{shard.file}: it has no row {row}")


@contextlib.contextmanager
def reading(file: Path) -> Iterator[None]:
    """Around pyarrow: its errors as one sentence that names the file.

    Raises:
        UsageError: for whatever it raises.
    """
    arrow = pyarrow()
    with told(file), opened(file):  # a regular file, or the reason why not
        pass
    try:
        yield
    except (arrow.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        reason = shown(shortened(" ".join(str(error).split()), 200)) or type(error).__name__
        raise UsageError(f"{file}: cannot be read as Arrow or Parquet ({reason})") from None


def pyarrow() -> Any:
    """The package.

    Raises:
        UsageError: it is not installed.
    """
    return _module("pyarrow")


def _parquet() -> Any:
    return _module("pyarrow.parquet")


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError(
            "dataset 'huggingface' needs the package pyarrow: pip install 'hashbench[datasets]'"
        ) from None


def _batches(file: Path) -> tuple[Any, Iterator[Any]]:
    """The schema and the checked record batches of a stream, or of a file, of Arrow."""
    arrow = pyarrow()
    mapped = arrow.memory_map(str(file))
    try:
        reader = arrow.ipc.open_stream(mapped)
    except arrow.ArrowInvalid:
        whole = arrow.ipc.open_file(mapped)
        numbers = range(whole.num_record_batches)
        return whole.schema, (_checked(whole.get_batch(number)) for number in numbers)
    return reader.schema, (_checked(batch) for batch in reader)


def _checked(batch: Any) -> Any:
    batch.validate(full=True)  # offsets of a stranger's file may lead anywhere
    return batch


def _bytes_of(value: Any) -> bytes:
    path = None
    if isinstance(value, Mapping):
        path, value = value.get("path"), value.get("bytes")
    if isinstance(value, bytes) and len(value) <= MAX_BYTES:
        return value
    if isinstance(value, bytes):
        raise BrokenImageError(f"it has {len(value):,} bytes, expected at most {MAX_BYTES:,}")
    where = f", but the path '{shown(shortened(str(path)))}'" if path else ""
    raise BrokenImageError(
        f"the row holds no bytes of an image{where}; save the data set with its images in it"
    )


def _stated(schema: Any) -> dict[str, Feature]:
    """The features that `datasets` writes into the schema; none where they are no such JSON."""
    content = (schema.metadata or {}).get(_SCHEMA_KEY)
    try:
        features = json.loads(content)["info"]["features"] if content else {}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features_of(features)


def features_of(features: Any) -> dict[str, Feature]:
    """Features as dataset_info.json and the schema state them; what is of no use here is left out.

    Args:
        features: of any kind, since strangers may have written it.
    """
    if not isinstance(features, Mapping):
        return {}
    found = {}
    for name, value in features.items():
        inner = _inner(value)
        if isinstance(value, Mapping) and value.get("_type") == "Image":
            found[name] = Feature("image")
        elif (names := _class_names(value)) is not None:
            found[name] = Feature("label", names)
        elif inner is not None and (names := _class_names(inner)) is not None:
            found[name] = Feature("labels", names)
    return found


def _inner(value: Any) -> Any:
    """What a sequence holds; None for no sequence."""
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 1:
        return value[0]
    if isinstance(value, Mapping) and value.get("_type") in ("Sequence", "List", "LargeList"):
        return value.get("feature")
    return None


def _class_names(value: Any) -> tuple[str, ...] | None:
    if not isinstance(value, Mapping) or value.get("_type") != "ClassLabel":
        return None
    names = value.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return ()
    return tuple(names)


def _by_type(kind: Any) -> Feature:
    """What a column may be by its type alone."""
    types = pyarrow().types
    if types.is_binary(kind) or types.is_large_binary(kind):
        return Feature("image")
    if types.is_struct(kind) and {one.name for one in kind} >= {"bytes", "path"}:
        return Feature("image")
    return Feature("other")
