"""The file format of the embedded images, and the reader of the embedded file. Writes nothing.

Packed are, one after the other: the database's pixels, its labels, the train set's positions, the
queries' pixels, their labels. Measured on a like subset (raw 8.2 MB): LZMA over whole images in
database order takes 3.95 MB, grouped by class 3.92, columns before rows 3.73 (a garment's columns
are smoother than its rows). Differences to a neighbour (left, upper, mean, median edge detector)
made it larger, as did one pixel of all images after the other.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashbench.data.garments.garments import SIDE, Garments, GarmentSplit
from hashbench.errors import UsageError

PIXELS, CARD = "fashion.xz", "fashion.json"

# Spelled out, not a preset: presets may change from one version of liblzma to the next, and the
# file must come out the same. Versions 5.4.1 and 5.8.4 wrote the same bytes with these.
FILTERS: list[dict[str, Any]] = [
    {
        "id": lzma.FILTER_LZMA2,
        "dict_size": 1 << 24,
        "lc": 4,
        "lp": 0,
        "pb": 2,
        "mode": lzma.MODE_NORMAL,
        "mf": lzma.MF_BT4,
        "nice_len": 273,
        "depth": 512,
    }
]

POSITION = np.dtype("<u2")


@dataclass(frozen=True)
class PackedCard:
    """The description that lies beside the packed images, as JSON.

    Attributes:
        about: what the file is, in one sentence.
        origin: where the images come from.
        licence: of the images.
        sources: SHA-256 of the idx files that they were picked from, unzipped, by name.
        database, query, train: number of images; the train set is part of the database.
        sha256: over the five arrays in packed order, rows before columns, database order.
    """

    about: str
    origin: str
    licence: str
    sources: dict[str, str]
    database: int
    query: int
    train: int
    sha256: str

    def to_json(self) -> bytes:
        """The card as a file: the same bytes for the same card."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


def content_digest(split: GarmentSplit) -> str:
    """SHA-256 of a split's pixels, labels and positions, before packing."""
    digest = hashlib.sha256()
    for part in (
        split.database.images,
        split.database.labels,
        split.train.astype(POSITION),
        split.query.images,
        split.query.labels,
    ):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def pack(split: GarmentSplit) -> bytes:
    """Compress a split to an xz file of its five arrays."""
    return lzma.compress(
        b"".join(
            (
                _columns_by_class(split.database),
                split.database.labels.tobytes(),
                split.train.astype(POSITION).tobytes(),
                _columns_by_class(split.query),
                split.query.labels.tobytes(),
            )
        ),
        format=lzma.FORMAT_XZ,
        check=lzma.CHECK_CRC32,
        filters=FILTERS,
    )


def unpack(packed: bytes, database: int, query: int, train: int) -> GarmentSplit:
    """The inverse of `pack`.

    Args:
        packed: the xz file's bytes.
        database: number of its images, as the card states it.
        query: likewise.
        train: likewise; these are part of the database.

    Raises:
        ValueError: the bytes do not hold that many images.
        lzma.LZMAError: they are no xz file.
    """
    flat = np.frombuffer(lzma.decompress(packed, format=lzma.FORMAT_XZ), np.uint8)
    area = SIDE * SIDE
    sizes = (database * area, database, train * POSITION.itemsize, query * area, query)
    if sum(sizes) != len(flat):
        raise ValueError(f"{len(flat)} bytes where {sum(sizes)} are expected")
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    return GarmentSplit(
        database=_from_columns_by_class(parts[0], parts[1]),
        train=parts[2].view(POSITION).astype(np.int64),
        query=_from_columns_by_class(parts[3], parts[4]),
    )


def read_packed(folder: Traversable) -> GarmentSplit:
    """Read and check the packed images of a folder.

    Raises:
        UsageError: a file is missing or damaged; says what to do.
    """
    remedy = (
        "install hashbench again; in a checkout, restore the file or write it with "
        "`python -m hashbench.data.garments.embed IDX_FOLDER`"
    )
    try:
        card = PackedCard(**json.loads(folder.joinpath(CARD).read_bytes()))
        packed = folder.joinpath(PIXELS).read_bytes()
        split = unpack(packed, card.database, card.query, card.train)
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be read ({error.strerror}): {remedy}") from None
    except (ValueError, TypeError, EOFError, lzma.LZMAError) as error:
        raise UsageError(
            f"the embedded images in {folder} are damaged ({error}): {remedy}"
        ) from None
    found = content_digest(split)
    if found != card.sha256:
        raise UsageError(
            f"the embedded images in {folder} are not those that {CARD} describes: "
            f"SHA-256 {found}, expected {card.sha256}: {remedy}"
        )
    return split


@cache
def embedded() -> GarmentSplit:
    """The embedded images, read once per process (0.25 s); shared, so their arrays are read-only.

    Raises:
        UsageError: see `read_packed`.
    """
    split = read_packed(files("hashbench.data.embedded"))
    for array in (
        split.database.images,
        split.database.labels,
        split.train,
        split.query.images,
        split.query.labels,
    ):
        array.flags.writeable = False
    return split


def _columns_by_class(garments: Garments) -> bytes:
    order = np.argsort(garments.labels, kind="stable")
    return garments.images[order].transpose(0, 2, 1).tobytes()


def _from_columns_by_class(columns: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Garments:
    # The labels alone tell the order back: the n-th image of a class is that of its n-th label.
    images = np.empty((len(labels), SIDE, SIDE), np.uint8)
    order = np.argsort(labels, kind="stable")
    images[order] = columns.reshape(-1, SIDE, SIDE).transpose(0, 2, 1)
    return Garments(images, labels)
