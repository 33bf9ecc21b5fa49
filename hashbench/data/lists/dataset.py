"""The base of data sets of list files and images: their parameters, and how they are loaded."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import numpy as np
from typing_extensions import override

from hashbench import plugins
from hashbench.data.cache.entries import BrokenFilesError, decoded_images
from hashbench.data.cache.index import DecodedImages, ImageFiles, PackedImages
from hashbench.data.cache.stamps import OutsideFolderError
from hashbench.data.cache.transform import Transform
from hashbench.data.contents import queries_in_database
from hashbench.data.images import RetrievalData
from hashbench.data.lists.listing import Listing, read_listing
from hashbench.errors import MissingDataError, UsageError
from hashbench.files import why_no_folder
from hashbench.plugins import Dataset
from hashbench.plugins.parameters import canonical
from hashbench.progress import Progress, no_progress


class BrokenImages(StrEnum):
    """What to do with images that are missing or cannot be decoded."""

    FAIL = "fail"  # the first one is an error
    EXCLUDE = "exclude"  # their rows are left out, counted, and so part of the protocol's hash


@dataclass(frozen=True)
class ListSizes:
    """How many rows and label columns the published lists of a data set have."""

    query: int
    train: int
    database: int
    classes: int

    @override
    def __str__(self) -> str:
        return (
            f"{self.query:,} queries, {self.train:,} train, {self.database:,} database, "
            f"{self.classes} classes"
        )


@dataclass(frozen=True)
class ListedDataset(Dataset):
    """A folder of list files and images.

    Attributes:
        resize: short side in pixels before the crop; by default 256 for a crop of 224, as in the
            papers, and otherwise the crop.
        crop: side of the central square that models see.
        broken: what becomes of missing and undecodable images: `fail` or `exclude`.
        wide: also keep the uncropped squares (resize x resize), for trainings that crop at random;
            without effect where `resize` is `crop`.
    """

    resize: int | None = None
    crop: int = 224
    broken: BrokenImages = BrokenImages.FAIL
    wide: bool = False

    needs_root: ClassVar[bool] = True

    folder: ClassVar[str] = ""
    """A folder below the root where the lists may lie instead."""

    holds: ClassVar[str] = "the list files, and the images below it"
    """What lies in the folder, for an error."""

    def __post_init__(self) -> None:
        _ = self.transform

    @property
    def transform(self) -> Transform:
        """How images are made from their files."""
        return Transform.of(self.resize, self.crop)

    @override
    def protocol_name(self) -> str:
        """Without `wide`, which changes no image that is searched."""
        return canonical(replace(self, wide=False))

    @override
    def widened(self) -> Dataset:
        """With the uncropped squares, if the crop is smaller."""
        return replace(self, wide=self.transform.resize > self.transform.crop)

    def packed(self, listing: Listing) -> PackedImages | None:  # noqa: ARG002 - for those below
        """What reads images that lie in larger files; by default each is a file of its own."""
        return None

    def linked(self) -> Path | None:
        """A folder beside the root that links may lead into, resolved; by default none."""
        return None

    def listing(self, root: Path | None) -> Listing:
        """The lists, checked; no image is looked at.

        Args:
            root: the folder that the user named.

        Raises:
            UsageError: no folder is named, a list is missing, malformed or of an unexpected size.
        """
        return self.read(self._home(root))

    def read(self, home: Path) -> Listing:
        """Read the lists of the folder that holds them."""
        return read_listing(home)

    @override
    def prepare(self, root: Path | None, progress: Progress) -> None:
        """Decode what the cache does not hold yet.

        Args:
            root: as for `load`.
            progress: told (done, total), in image files that are read.

        Raises:
            UsageError: as `load`.
        """
        listing = self.listing(root)
        self._decoded(root, listing, progress)

    @override
    def load(self, root: Path | None) -> RetrievalData:
        """The three splits, images memory-mapped.

        Args:
            root: the folder of the lists and images, or the one above it.

        Raises:
            UsageError: a list is missing or malformed, a query is in the database, a path leads out
                of the folder; or an image is broken and `broken` is `fail`.
            StoreError: the cache cannot be written.
        """
        listing = self.listing(root)
        return self.retrieval_data(listing, self._decoded(root, listing, no_progress))

    def retrieval_data(self, listing: Listing, images: DecodedImages) -> RetrievalData:
        """The three splits, without the rows of broken images.

        Args:
            listing: the lists.
            images: the distinct images that they name.

        Raises:
            UsageError: a split has no sound image.
        """
        sets, excluded = {}, 0
        contents: dict[str, Iterator[bytes]] = {}
        for name, split in listing.splits.items():
            rows = listing.places[name]
            sound = ~np.isin(rows, list(images.faults))
            if not sound.any():
                raise UsageError(
                    f"{split.file}: not one of its {len(split):,} images can be used; the first: "
                    f"{listing.root / split.paths[0]}: {images.faults[int(rows[0])]}"
                )
            excluded += int((~sound).sum())
            sets[name] = images.image_set(rows[sound], split.labels[sound])
            contents[name] = (digest.tobytes() for digest in images.digests[rows[sound]])
        return RetrievalData(
            classes=listing.classes,
            transform=str(images.transform),
            excluded=excluded,
            roles=listing.roles,
            found_again=len(queries_in_database(contents["query"], contents["database"])),
            **sets,
        )

    def image_files(self, listing: Listing) -> ImageFiles:
        """The distinct image files that the lists name, and how they are decoded."""
        transform = self.transform
        wide = self.wide and transform.resize > transform.crop
        links, packed = self.linked(), self.packed(listing)
        root = listing.root.resolve()
        return ImageFiles(root, listing.distinct, transform, wide, links, packed)

    def _decoded(self, root: Path | None, listing: Listing, progress: Progress) -> DecodedImages:
        listing.refuse_overlap()
        files = self.image_files(listing)
        try:
            return decoded_images(files, progress, need_all=self.broken is BrokenImages.FAIL)
        except OutsideFolderError as error:
            raise outside_folder(listing, files, error) from None
        except BrokenFilesError as error:
            raise self._broken(root, listing, error.faults) from None

    def _broken(self, root: Path | None, listing: Listing, faults: dict[int, str]) -> UsageError:
        place = _first_used(listing, faults)
        more = f"; {len(faults):,} images are broken in all" if len(faults) > 1 else ""
        kind = MissingDataError if len(faults) == len(listing.distinct) else UsageError
        return kind(
            f"{listing.root / listing.distinct[place]}: {faults[place]} "
            f"({listing.first_use(place)}){more}; the parameter broken=exclude leaves "
            f"them out; this names them all: {self._check_command(root)}"
        )

    def _check_command(self, root: Path | None) -> str:
        """What to type to see every broken image."""
        words = ["hashbench", "data", "check", self.protocol_name(), "--all"]
        words += [] if root is None else ["--root", str(root)]
        for path in plugins.files():  # the data set may be one of theirs
            words += ["--plugin", str(path)]
        return shlex.join(words)

    def _home(self, root: Path | None) -> Path:
        name = self.card.name
        if root is None:
            raise UsageError(
                f"data set '{name}' is read from a folder: name it (--root FOLDER); it holds "
                f"{self.holds}"
            )
        if not root.is_dir():
            raise UsageError(f"{root}: {why_no_folder(root)}")
        below = root / self.folder
        return below if self.folder and below.is_dir() else root


@dataclass(frozen=True)
class PublishedDataset(ListedDataset):
    """A folder of list files of known sizes, those of the attack papers; mAP@5000.

    Attributes:
        resize, crop, broken, wide: as for every folder of lists.
        any_size: take lists of other sizes than the published ones.
    """

    any_size: bool = False

    top_k: ClassVar[int | None] = 5000

    sizes: ClassVar[ListSizes]
    """Of the published lists."""

    @override
    def listing(self, root: Path | None) -> Listing:
        """The lists, checked, and of the published sizes unless `any_size` says otherwise.

        Raises:
            UsageError: as `ListedDataset.listing`; a size differs.
        """
        listing = super().listing(root)
        found = sizes_of(listing)
        if found != self.sizes and not self.any_size:
            raise UsageError(
                f"{listing.root}: the lists have {found}, but data set '{self.card.name}' has "
                f"{self.sizes}; if another split is meant, say so: {self.card.name}:any_size=true"
            )
        return listing


def sizes_of(listing: Listing) -> ListSizes:
    """The sizes of lists."""
    return ListSizes(
        query=len(listing.query),
        train=len(listing.train),
        database=len(listing.database),
        classes=len(listing.classes),
    )


def outside_folder(listing: Listing, files: ImageFiles, error: OutsideFolderError) -> UsageError:
    """The error for a link out of the folder; names the list's line."""
    place = error.places[0]
    return UsageError(
        f"{listing.first_use(place)}: a link leads the path '{files.paths[place]}' out of "
        f"{files.root} ({len(error.places):,} such images); move the images into it, or the lists "
        "beside them; a data set of your own takes the parameter links=FOLDER, a folder that links "
        "may lead into"
    )


def _first_used(listing: Listing, faults: dict[int, str]) -> int:
    """The broken image that a list names first: train list, then queries, then database."""
    broken = list(faults)
    for rows in listing.places.values():
        found = np.isin(rows, broken)
        if found.any():
            return int(rows[found.argmax()])
    raise ValueError("no list names a broken image")
