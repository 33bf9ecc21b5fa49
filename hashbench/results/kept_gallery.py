"""What a run keeps of an attacked cell for the gallery of a report, as it lies in a store.

A report has no data set and no torch, so whatever it shows is here. It is no result: no number and
no key depends on it, and it may be deleted.

    gallery.json      labels, places, distances, and which picture is whose
    pictures.bin      the PNG files, one behind the other, each once
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hashbench.characters import shown
from hashbench.eps import Eps, Norm
from hashbench.errors import FileError, UsageError
from hashbench.files import parsed_json
from hashbench.records import plain, read
from hashbench.results.address import SHA256, Address
from hashbench.results.artifacts import CODES, GALLERY, IMAGES, PICTURES, ArtifactKind
from hashbench.results.gallery import Exhibit, Gallery, Hit
from hashbench.results.pictures import Size, change, filling, size_of
from hashbench.results.store import Artifact, Store

MOST_SHOWN: Final = 100
"""How many queries of a cell have a place in a gallery, however many images are kept."""

SHOWN_HITS: Final = 10
"""How many images of the database stand beside a query; fewer where there are no more."""

QUERY_SIDE: Final = 224
"""The most pixels of a query's longer side."""

HIT_SIDE: Final = 64
"""The most pixels of the longer side of an image of the database."""

MAX_LABEL: Final = 200
"""The most characters of a label's name."""

_MAX_PICTURE: Final = 2**18
"""Bytes of one: RGB of 224 x 224 pixels takes 151 kB where nothing can be packed."""

_MAX_VALUES: Final = 200_000
"""Of `gallery.json`: 100 queries with 20 hits of some 80 labels each."""


@dataclass(frozen=True)
class StoredImage:
    """One image of the database.

    Attributes:
        place: in the database.
        picture: its number among the pictures.
        labels: numbers of its classes, rising.
    """

    place: int
    picture: int
    labels: tuple[int, ...]


@dataclass(frozen=True)
class StoredRanking:
    """The best of the database for one code.

    Attributes:
        images: their numbers among the images.
        distances: of their codes.
    """

    images: tuple[int, ...]
    distances: tuple[int, ...]


@dataclass(frozen=True)
class StoredExhibit:
    """One query.

    Attributes:
        labels: numbers of its classes, rising.
        clean, attacked: numbers of its pictures.
        before, after: what the search returns.
        precision: average precision before and after.
    """

    labels: tuple[int, ...]
    clean: int
    attacked: int
    before: StoredRanking
    after: StoredRanking
    precision: tuple[float, ...]


@dataclass(frozen=True)
class StoredGallery:
    """What `gallery.json` holds.

    Attributes:
        classes: names of those classes that anything shown here is of.
        pictures: how many bytes each has.
        images: of the database, each once.
        exhibits: the first queries, in their order.
    """

    classes: tuple[str, ...]
    pictures: tuple[int, ...]
    images: tuple[StoredImage, ...]
    exhibits: tuple[StoredExhibit, ...]

    def __post_init__(self) -> None:
        """Refuse what no run can have kept.

        Raises:
            UsageError: a number names nothing, or is out of its range.
        """
        if not 0 < len(self.exhibits) <= MOST_SHOWN:
            raise UsageError(f"it shows {len(self.exhibits):,} queries, expected 1 to {MOST_SHOWN}")
        if any(len(name) > MAX_LABEL + len("...") for name in self.classes):
            raise UsageError(f"a label has more than {MAX_LABEL} characters")
        if any(not 0 < length <= _MAX_PICTURE for length in self.pictures):
            raise UsageError("a picture is too large, or empty")
        if len(self.pictures) > len(self.images) + 2 * len(self.exhibits):
            raise UsageError("it has more pictures than it shows")
        if len(self.images) > 2 * SHOWN_HITS * len(self.exhibits):
            raise UsageError("it has more images than it shows")
        whose = itertools.chain(
            (one.labels for one in self.images), (one.labels for one in self.exhibits)
        )
        for labels in whose:
            self._check(labels, len(self.classes), "class")
            if list(labels) != sorted(set(labels)):
                raise UsageError("it names a class twice")
        pictures = [one.picture for one in self.images]
        pictures += [number for one in self.exhibits for number in (one.clean, one.attacked)]
        self._check(pictures, len(self.pictures), "picture")
        if len({one.place for one in self.images}) < len(self.images):
            raise UsageError("it has an image of the database twice")
        for exhibit in self.exhibits:
            precision = exhibit.precision
            if len(precision) != 2 or not all(0 <= value <= 1 for value in precision):
                raise UsageError("an average precision is not from 0 to 1")
            if len(exhibit.before.images) != len(exhibit.after.images):
                raise UsageError("a search returns more before than after")
            for ranking in (exhibit.before, exhibit.after):
                self._check_ranking(ranking)

    def _check_ranking(self, ranking: StoredRanking) -> None:
        self._check(ranking.images, len(self.images), "image")
        if not 0 < len(ranking.images) == len(ranking.distances) <= SHOWN_HITS:
            raise UsageError("a search returns nothing, or too much")
        places = [self.images[number].place for number in ranking.images]
        order = list(zip(ranking.distances, places, strict=True))
        if order != sorted(set(order)):
            raise UsageError("what a search returns is in no order that a ranking has")

    @staticmethod
    def _check(numbers: Iterable[int], end: int, what: str) -> None:
        if not all(0 <= number < end for number in numbers):
            raise UsageError(f"it has no {what} of a number that it names")

    def files(self, pictures: Iterable[bytes]) -> dict[str, bytes]:
        """As they are stored, with the pictures."""
        facts = json.dumps(plain(self), separators=(",", ":"), allow_nan=False)
        return {GALLERY: (facts + "\n").encode(), PICTURES: b"".join(pictures)}


def address_of_gallery(adversarial: Address) -> Address:
    """Where the gallery of an attacked cell lies.

    Args:
        adversarial: where the codes of its queries lie.
    """
    key = hashlib.sha256(f"gallery {adversarial.key}".encode()).hexdigest()
    return Address(kind=ArtifactKind.GALLERY, slug=adversarial.slug, key=key)


@dataclass(frozen=True)
class Sources:
    """What a gallery was made of: sums of files in the same store; empty where one is not there.

    Attributes:
        codes: of the model's codes.
        adversarial: of the attacked queries' codes.
        images: of the attacked images.
    """

    codes: str = ""
    adversarial: str = ""
    images: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no sum; raises UsageError."""
        if not all(not one or SHA256.fullmatch(one) for one in vars(self).values()):
            raise UsageError("a sum is none")

    @classmethod
    def now(cls, store: Store, codes: Address, adversarial: Address, images: Address) -> Sources:
        """What lies there."""
        return cls(
            _sum(store, codes, CODES),
            _sum(store, adversarial, CODES),
            _sum(store, images, IMAGES),
        )

    def contradict(self, found: Sources) -> bool:
        """Whether codes are there, and are others."""
        pairs = ((self.codes, found.codes), (self.adversarial, found.adversarial))
        return any(one and other and one != other for one, other in pairs)


def _sum(store: Store, address: Address, name: str) -> str:
    try:
        artifact = store.artifact(address)
    except FileError:
        return ""
    return "" if artifact is None else str(artifact.record["files"].get(name, ""))


@dataclass(frozen=True)
class Making:
    """What the record of a gallery says of its making.

    Attributes:
        of: what it was made of.
        queries: how many it shows.
        kept: how many images were there to choose from.
    """

    of: Sources
    queries: int
    kept: int

    @classmethod
    def read(cls, artifact: Artifact) -> Making:
        """Out of the record of a gallery.

        Raises:
            FileError: it says nothing of this, or not in these words.
        """
        try:
            return read(cls, artifact.record.get("shows"), "shows")
        except UsageError as error:
            raise FileError(f"its record: {error}") from None

    def about(self) -> dict[str, Any]:
        """As fields of the record."""
        return {"shows": plain(self)}


@dataclass(frozen=True)
class Bounds:
    """What a cell lets its gallery say.

    Attributes:
        queries, database: how many images there are.
        bits: of a code.
        eps: the radius of the attack.
    """

    queries: int
    database: int
    bits: int
    eps: Eps

    @property
    def factor(self) -> float:
        """How much larger a change is shown: the largest that is allowed fills the range of grey.

        `127 / (255 eps)`; 1 where nothing may be changed.
        """
        levels = 255 * float(self.eps)
        return 127 / levels if levels else 1.0

    def factor_of(self, clean: bytes, attacked: bytes) -> float:
        """The same for two pictures.

        One pixel may be changed by the whole radius of an L2 ball, and hardly ever is: there the
        largest change that was made fills the range.

        Raises:
            FileError: they are damaged inside.
        """
        if self.eps.norm is Norm.LINF:
            return self.factor
        return filling(clean, attacked)


def gallery_of(artifact: Artifact, bounds: Bounds) -> Gallery:
    """What an artifact shows, every value checked.

    Args:
        artifact: of kind gallery.
        bounds: of its cell.

    Raises:
        FileError: it is damaged, or nothing that a run can have kept.
    """
    content = artifact.read(GALLERY)
    try:
        stored = read(StoredGallery, parsed_json(content, values=_MAX_VALUES), "")
        _check(stored, bounds)
    except (FileError, UsageError) as error:
        raise FileError(f"{GALLERY}: {error}") from None
    joined = artifact.read(PICTURES, sum(stored.pictures))
    try:
        return _unpacked(stored, _apart(joined, stored.pictures), bounds)
    except FileError as error:
        raise FileError(f"{PICTURES}: {error}") from None


def _check(stored: StoredGallery, bounds: Bounds) -> None:
    """Hold a gallery against what is known of its cell; raises FileError."""
    if len(stored.exhibits) > bounds.queries:
        raise FileError("it shows more queries than there are")
    if not all(0 <= one.place < bounds.database for one in stored.images):
        raise FileError("it shows images that the database does not have")
    for exhibit in stored.exhibits:
        for ranking in (exhibit.before, exhibit.after):
            if not all(0 <= distance <= bounds.bits for distance in ranking.distances):
                raise FileError(f"a distance is not from 0 to {bounds.bits}")


def _apart(joined: bytes, lengths: Iterable[int]) -> list[bytes]:
    ends = list(itertools.accumulate(lengths))
    if len(joined) != (ends[-1] if ends else 0):
        raise FileError("it is not as long as its pictures")
    return [joined[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _unpacked(stored: StoredGallery, pictures: list[bytes], bounds: Bounds) -> Gallery:
    """The gallery, once every picture is one that may be shown; raises FileError."""
    queries = {number for one in stored.exhibits for number in (one.clean, one.attacked)}
    hits = {one.picture for one in stored.images}
    sizes: Mapping[int, Size] = {
        number: size_of(pictures[number], HIT_SIDE if number in hits else QUERY_SIDE)
        for number in sorted(hits | queries)
    }
    classes = tuple(shown(name) for name in stored.classes)

    def names(labels: Iterable[int]) -> tuple[str, ...]:
        return tuple(classes[label] for label in labels)

    def ranked(exhibit: StoredExhibit, ranking: StoredRanking) -> tuple[Hit, ...]:
        found = (stored.images[number] for number in ranking.images)
        return tuple(
            Hit(
                image=pictures[one.picture],
                place=one.place,
                distance=distance,
                relevant=not set(one.labels).isdisjoint(exhibit.labels),
                labels=names(one.labels),
            )
            for one, distance in zip(found, ranking.distances, strict=True)
        )

    exhibits = []
    for query, one in enumerate(stored.exhibits):
        if sizes[one.clean] != sizes[one.attacked] or sizes[one.clean].colour not in (0, 2):
            raise FileError(f"the two pictures of query {query} do not fit together")
        clean, attacked = pictures[one.clean], pictures[one.attacked]
        before, after = one.precision
        factor = bounds.factor_of(clean, attacked)
        exhibits.append(
            Exhibit(
                query=query,
                labels=names(one.labels),
                clean=clean,
                attacked=attacked,
                change=change(clean, attacked, factor),
                factor=factor,
                before=ranked(one, one.before),
                after=ranked(one, one.after),
                precision=(before, after),
            )
        )
    return Gallery(tuple(exhibits))
