"""The index of a cache entry: which images its pixel files hold, and what they were made from.

Reads and writes `index.npz`, which is written last: a pixel file that it does not name is not used.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hashbench.atomic import write_file
from hashbench.data.cache.decode import RULES
from hashbench.data.cache.pixel_file import PixelFile, open_pixels
from hashbench.data.cache.transform import Transform
from hashbench.data.images import ImageSet

_NEVER = -2
"""A stamp that no file has, so that it is read again; that of a missing one is -1."""

FORMAT = 1
"""Version of the cache's format; entries of another version are made anew."""

INDEX = "index.npz"

_PIXELS: Final = re.compile(r"(?:pixels|wide)-[0-9a-f]{16}\.npy")
"""Names of pixel files: they lie beside the index, whatever an index says."""

_Digests = NDArray[np.uint8]


class PackedImages(Protocol):
    """Images in files of many, each with a path of its own that begins with the file's."""

    def file_of(self, path: str) -> str:
        """The path of the file that holds an image."""

    def read(self, path: str) -> bytes:
        """The bytes of an image.

        Raises:
            BrokenImageError: they cannot be had.
        """


@dataclass(frozen=True)
class ImageFiles:
    """Image files, and how they are decoded.

    Attributes:
        root: the data folder, resolved.
        paths: of the distinct images, relative to it.
        transform: resize and crop.
        wide: also keep the squares that random crops are cut from.
        links: a folder beside `root`, resolved, that links may lead into; None for none.
        packed: reads images that lie in larger files; None where each is a file of its own.
    """

    root: Path
    paths: tuple[str, ...]
    transform: Transform
    wide: bool = False
    links: Path | None = None
    packed: PackedImages | None = None

    @property
    def key(self) -> str:
        """The name of the cache entry, from folder, paths and transform.

        Times and decoders' versions play no part. Neither does `wide`: an entry with squares also
        serves a caller that needs none, and squares are added to an entry without remaking its
        crops.
        """
        paths = hashlib.sha256("\n".join(self.paths).encode()).hexdigest()
        made_of = [FORMAT, str(self.root), paths, str(self.transform)]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


@dataclass(frozen=True)
class DecodedImages:
    """Decoded images of a folder.

    Attributes:
        pixels: the cropped images.
        wide: the uncropped squares; None unless asked for.
        digests: uint8 (N, 32), the SHA-256 of each file's bytes; zeros for one that is missing.
        faults: why an image has no pixels, by its row.
        stamps: int64 (N, 3), of the files when they were read.
        transform: how the pixels were made from the files.
    """

    pixels: PixelFile
    wide: PixelFile | None
    digests: _Digests
    faults: dict[int, str]
    stamps: NDArray[np.int64]
    transform: Transform

    def image_set(self, rows: NDArray[np.int64], labels: NDArray[np.uint8]) -> ImageSet:
        """The images of these rows, which have pixels, with their labels.

        Args:
            rows: int64 (N,); may repeat.
            labels: uint8 (N, classes) of 0 and 1.

        Returns:
            Memory-mapped images. `content` is made of the files' bytes, their order and the
            transform, so that it is the same whatever decoded them.
        """
        digest = hashlib.sha256(f"hashbench images {FORMAT} {self.transform}".encode())
        digest.update(np.ascontiguousarray(self.digests[rows]).data)
        return ImageSet(
            self.pixels.select(rows),
            np.ascontiguousarray(labels),
            content=digest.hexdigest(),
            wide=None if self.wide is None else self.wide.select(rows),
        )


def write_index(folder: Path, made: DecodedImages, files: ImageFiles) -> None:
    """Write the index of an entry.

    Raises:
        OSError: as `write_file`.
    """

    def plain(file: PixelFile | None) -> dict[str, str] | None:
        return None if file is None else {"name": file.path.name, "sha256": file.sha256}

    card = {
        "format": FORMAT,
        "rules": RULES,
        "root": str(files.root),
        "transform": str(files.transform),
        "pixels": plain(made.pixels),
        "wide": plain(made.wide),
        "faults": {str(row): fault for row, fault in made.faults.items()},
    }
    content = io.BytesIO()
    np.savez(
        content,
        card=np.array(json.dumps(card)),
        paths=np.frombuffer("\n".join(files.paths).encode(), np.uint8),
        stamps=made.stamps,
        digests=made.digests,
    )
    write_file(folder / INDEX, content.getvalue())


def read_index(folder: Path, files: ImageFiles) -> DecodedImages | None:
    """Read the index of an entry; None where there is none, or the entry is damaged or a link.

    Checks shape and size of the pixel files; `hashbench.data.cache.verify` checks their bytes.
    """
    count, transform = len(files.paths), files.transform
    try:
        if folder.is_symlink():
            return None
        with np.load(folder / INDEX, allow_pickle=False) as arrays:
            card = json.loads(str(arrays["card"]))
            stamps, digests = arrays["stamps"], arrays["digests"]
        if card["format"] != FORMAT or stamps.shape != (count, 3) or digests.shape != (count, 32):
            return None
        faults = {int(row): str(fault) for row, fault in card["faults"].items()}
        if card.get("rules") != RULES:  # what was refused then may be decoded now
            stamps = stamps.copy()
            stamps[list(faults)] = _NEVER
        some = len(faults) < count
        pixels = _pixel_file(folder, card["pixels"], (count, 3, *[transform.crop] * 2), some)
        wide = _pixel_file(folder, card["wide"], (count, 3, *[transform.resize] * 2), some)
    except Exception:  # a damaged archive raises a dozen kinds, and then there is no index
        return None
    if pixels is None:
        return None
    return DecodedImages(pixels, wide, digests, faults, stamps, transform)


def _pixel_file(folder: Path, card: Any, shape: tuple[int, ...], some: bool) -> PixelFile | None:
    """The pixel file that an index names; None where it names none, or its shape differs."""
    if card is None:
        return None
    if not _PIXELS.fullmatch(card["name"]):
        raise ValueError("a pixel file lies elsewhere")
    file = PixelFile(folder / card["name"], str(card["sha256"]))
    if some:
        pixels = open_pixels(file.path)
        if pixels is None or pixels.shape != shape:
            return None
    return file
