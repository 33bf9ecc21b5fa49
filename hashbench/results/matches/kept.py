"""What is kept of the files of an attacked cell: PNG files behind one another, and their list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from hashbench.errors import FileError, StoreError, UsageError
from hashbench.files import parsed_json
from hashbench.records import read
from hashbench.results.address import Address
from hashbench.results.matches.results import KeptPicture
from hashbench.results.store import Store

LIST: Final = "kept.json"
"""Names, distances, and where each file begins and ends."""

FILES: Final = "kept.bin"
"""The PNG files."""

USUAL: Final = 8
"""Pictures of a cell that a gallery shows, the first ones that succeed."""

_MAX_LIST: Final = 2**28
_MAX_FILES: Final = 2**35
_PARTS: Final = ("clean", "attacked", "stranger")


@dataclass(frozen=True)
class _Entry:
    """One picture; `places` are the ends of its files, one for each of `_PARTS`."""

    name: str
    distance: int
    stranger_name: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class _List:
    """What `kept.json` holds."""

    pictures: tuple[_Entry, ...]


def kept_files(pictures: Iterable[KeptPicture]) -> Mapping[str, bytes]:
    """The two files that hold some pictures."""
    pieces: list[bytes] = []
    entries = []
    end = 0
    for one in pictures:
        places = []
        for part in _PARTS:
            pieces.append(getattr(one, part))
            end += len(pieces[-1])
            places.append(end)
        entries.append(_Entry(one.name, one.distance, one.stranger_name, tuple(places)))
    listed = json.dumps({"pictures": [asdict(entry) for entry in entries]}, indent=1) + "\n"
    return {LIST: listed.encode(), FILES: b"".join(pieces)}


def kept_pictures(store: Store, address: Address) -> tuple[KeptPicture, ...]:
    """The pictures of an artifact; none where it has kept none.

    Raises:
        FileError: it is damaged.
        StoreError: it is not there.
    """
    artifact = store.artifact(address)
    if artifact is None:
        raise StoreError(f"{store.folder / address.path}: missing; run it again")
    if LIST not in artifact.record["files"]:
        return ()
    try:
        listed = read(_List, parsed_json(artifact.read(LIST, _MAX_LIST)), LIST)
    except UsageError as error:
        raise FileError(str(error)) from None
    content = artifact.read(FILES, _MAX_FILES)
    found = []
    start = 0
    for entry in listed.pictures:
        ends = entry.places
        starts = (start, *ends[:-1])
        whole = [*starts, *ends[-1:]]
        if len(ends) != len(_PARTS) or whole != sorted(whole) or ends[-1] > len(content):
            raise FileError(f"{LIST}: the places of '{entry.name}' are none")
        clean, attacked, stranger = (content[a:b] for a, b in zip(starts, ends, strict=True))
        found.append(
            KeptPicture(
                name=entry.name,
                clean=clean,
                attacked=attacked,
                distance=entry.distance,
                stranger=stranger,
                stranger_name=entry.stranger_name,
            )
        )
        start = ends[-1]
    return tuple(found)
