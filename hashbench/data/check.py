"""Check a data set before it is used: sizes, broken images, repeats, overlap. Reads every image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashbench.data.cache.entries import decoded_images
from hashbench.data.cache.index import DecodedImages
from hashbench.data.cache.stamps import OutsideFolderError
from hashbench.data.cache.verify import CacheCheck, verify_cache
from hashbench.data.contents import pixel_digests
from hashbench.data.images import RetrievalData
from hashbench.data.lists.dataset import BrokenImages, ListedDataset, outside_folder
from hashbench.data.lists.listing import Listing
from hashbench.data.plugin_errors import loaded
from hashbench.data.protocol import Protocol, protocol_of
from hashbench.plugins import Dataset
from hashbench.plugins.parameters import canonical
from hashbench.progress import Progress
from hashbench.retrieval import ceiling, chance_level

NAMED = 3
"""How many faults of each kind are named by default; all of them are counted."""

_Contents = Mapping[str, NDArray[np.int64]]
"""For each split a number per row: equal for equal bytes, below 0 for an unreadable file."""


@dataclass(frozen=True)
class SplitFacts:
    """One split.

    Attributes:
        name: `train`, `query` or `database`.
        rows: how many images it lists.
        distinct: how many different ones, by path; by content where there are no paths.
        unlabelled: rows without any label.
        repeats: readable rows with the same content as an earlier row; None where no row is
            readable.
    """

    name: str
    rows: int
    distinct: int
    unlabelled: int
    repeats: int | None


@dataclass(frozen=True)
class FileFacts:
    """The image files behind the lists.

    Attributes:
        count: distinct paths.
        missing: how many do not exist.
        undecodable: how many exist but cannot be decoded.
        missing_named: the first missing ones, with the list's line.
        undecodable_named: the first undecodable ones, with the reason and the list's line.
    """

    count: int
    missing: int
    undecodable: int
    missing_named: tuple[str, ...]
    undecodable_named: tuple[str, ...]


@dataclass(frozen=True)
class Overlap:
    """Queries that are in the database.

    Attributes:
        paths: distinct images that both lists name.
        contents: queries with the same bytes as a database image.
        named: the first of these queries.
    """

    paths: int
    contents: int
    named: tuple[str, ...]


@dataclass(frozen=True)
class DataCheck:
    """What was found.

    Attributes:
        dataset: its canonical name.
        root: the folder of its lists; None for one that ships.
        transform: how images are made from their files.
        classes: number of label columns.
        splits: the three splits.
        files: the image files; None for a data set that has none.
        cache: whether their cached pixels are sound; None for a data set without files.
        overlap: of queries and database.
        top_k: length of the ranked list; None for all of the database.
        chance: mAP of a random order, from the labels.
        best: mAP of a perfect order, from the labels.
        protocol: the card; None where an image that it covers cannot be read.
        roles: how the three splits were chosen, in words; empty where the data set's name says it.
    """

    dataset: str
    root: Path | None
    transform: str
    classes: int
    splits: tuple[SplitFacts, ...]
    files: FileFacts | None
    cache: CacheCheck | None
    overlap: Overlap
    top_k: int | None
    chance: float
    best: float
    protocol: Protocol | None
    roles: str = ""

    @property
    def clean(self) -> bool:
        """No image is broken, and no query is in the database."""
        sound = self.files is None or not (self.files.missing or self.files.undecodable)
        return sound and not (self.overlap.paths or self.overlap.contents)


def check_dataset(
    dataset: Dataset, root: Path | None, progress: Progress, *, named: int | None = NAMED
) -> DataCheck:
    """Read a data set whole and describe it.

    Its images are decoded into the cache on the way, as far as they are not there yet; what is
    there is compared with what was written, and decoded anew where it differs.

    Args:
        dataset: which.
        root: as for its `load`.
        progress: told (done, total), in images.
        named: how many faults of each kind are named; None for all.

    Raises:
        UsageError: a list is missing or malformed.
        StoreError: the cache cannot be written.
    """
    if isinstance(dataset, ListedDataset):
        return _check_listed(dataset, root, progress, named)
    dataset.prepare(root, progress)
    return _check_loaded(dataset, root, loaded(dataset, root), named)


def _check_listed(
    dataset: ListedDataset, root: Path | None, progress: Progress, named: int | None
) -> DataCheck:
    listing = dataset.listing(root)
    files = dataset.image_files(listing)
    cache = verify_cache(files, progress)
    try:
        images = decoded_images(replace(files, wide=files.wide or cache.wide), progress)
    except OutsideFolderError as error:
        raise outside_folder(listing, files, error) from None
    numbers = _numbers(digest.tobytes() for digest in images.digests)
    numbers[~images.digests.any(axis=1)] = -1  # not there: no content
    contents = {name: numbers[rows] for name, rows in listing.places.items()}
    shared = np.intersect1d(listing.places["query"], listing.places["database"])
    loads = _loads(dataset, listing, images, shared)
    data = dataset.retrieval_data(listing, images) if loads else None
    query, database, top_k = listing.query.labels, listing.database.labels, dataset.list_length()
    if data is not None:  # without what is excluded
        query, database = data.query.labels, data.database.labels
    return DataCheck(
        dataset=canonical(dataset),
        root=listing.root,
        transform=str(dataset.transform),
        classes=len(listing.classes),
        splits=tuple(
            SplitFacts(
                name=name,
                rows=len(split),
                distinct=len(np.unique(listing.places[name])),
                unlabelled=int((~split.labels.any(axis=1)).sum()),
                repeats=_repeats(contents[name]),
            )
            for name, split in listing.splits.items()
        ),
        files=_file_facts(listing, images, named),
        cache=cache,
        overlap=Overlap(
            paths=len(shared),
            contents=int(_shared(contents).sum()),
            named=_named_overlap(listing, contents, named),
        ),
        top_k=top_k,
        chance=chance_level(query, database, top_k=top_k),
        best=ceiling(query, database, top_k=top_k),
        protocol=None
        if data is None
        else protocol_of(dataset.protocol_name(), dataset.list_length(), data),
        roles=listing.roles,
    )


def _check_loaded(
    dataset: Dataset, root: Path | None, data: RetrievalData, named: int | None
) -> DataCheck:
    sets = {"train": data.train, "query": data.query, "database": data.database}
    numbers = _numbers(content for part in sets.values() for content in pixel_digests(part.images))
    ends = np.cumsum([len(part) for part in sets.values()])
    contents = dict(zip(sets, np.split(numbers, ends[:-1]), strict=True))
    shared = np.flatnonzero(_shared(contents))
    query, database, top_k = data.query.labels, data.database.labels, dataset.list_length()
    return DataCheck(
        dataset=canonical(dataset),
        root=root if dataset.needs_root else None,
        transform=data.transform,
        classes=len(data.classes),
        splits=tuple(
            SplitFacts(
                name=name,
                rows=len(part),
                distinct=len(np.unique(contents[name])),
                unlabelled=int((~part.labels.any(axis=1)).sum()),
                repeats=_repeats(contents[name]),
            )
            for name, part in sets.items()
        ),
        files=None,
        cache=None,
        overlap=Overlap(
            paths=0,
            contents=len(shared),
            named=tuple(f"query {row}" for row in shared[:named].tolist()),
        ),
        top_k=top_k,
        chance=chance_level(query, database, top_k=top_k),
        best=ceiling(query, database, top_k=top_k),
        protocol=protocol_of(dataset.protocol_name(), dataset.list_length(), data),
        roles=data.roles,
    )


def _loads(
    dataset: ListedDataset, listing: Listing, images: DecodedImages, shared: NDArray[np.int64]
) -> bool:
    if len(shared) or not images.faults:
        return not len(shared)
    broken = list(images.faults)
    left = all(not np.isin(rows, broken).all() for rows in listing.places.values())
    return left and dataset.broken is BrokenImages.EXCLUDE


def _file_facts(listing: Listing, images: DecodedImages, named: int | None) -> FileFacts:
    there = images.stamps[:, 0] >= 0
    missing = [place for place in sorted(images.faults) if not there[place]]
    undecodable = [place for place in sorted(images.faults) if there[place]]

    def line(place: int) -> str:
        reason = images.faults[place]
        return f"{listing.distinct[place]}: {reason} ({_short(listing, place)})"

    return FileFacts(
        count=len(listing.distinct),
        missing=len(missing),
        undecodable=len(undecodable),
        missing_named=tuple(line(place) for place in missing[:named]),
        undecodable_named=tuple(line(place) for place in undecodable[:named]),
    )


def _short(listing: Listing, place: int) -> str:
    return listing.first_use(place).removeprefix(f"{listing.root}/")


def _named_overlap(listing: Listing, contents: _Contents, named: int | None) -> tuple[str, ...]:
    query, database = listing.places["query"], listing.places["database"]
    alike = _shared(contents) | np.isin(query, database)
    lines = []
    for row in np.flatnonzero(alike)[:named].tolist():
        same = database == query[row]
        if not same.any():
            same = contents["database"] == contents["query"][row]
        other = listing.database.paths[int(same.argmax())]
        lines.append(f"query {listing.query.paths[row]} is {other}")
    return tuple(lines)


def _shared(contents: _Contents) -> NDArray[np.bool_]:
    """Which queries have the same content as a database image."""
    query = contents["query"]
    return (query >= 0) & np.isin(query, contents["database"])


def _repeats(numbers: NDArray[np.int64]) -> int | None:
    readable = numbers[numbers >= 0]
    return len(readable) - len(np.unique(readable)) if len(readable) else None


def _numbers(contents: Iterable[bytes]) -> NDArray[np.int64]:
    """Number contents, equal ones alike."""
    known: dict[bytes, int] = {}
    return np.array([known.setdefault(content, len(known)) for content in contents], np.int64)
