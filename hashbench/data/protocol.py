"""The protocol card: what two numbers must share before they may stand in one table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, ClassVar, Final

from hashbench.data.images import RetrievalData
from hashbench.data.targets import TARGETS
from hashbench.errors import UsageError
from hashbench.records import default_of

FIELDS: Final[Mapping[int, tuple[str, ...]]] = {
    1: (
        "dataset",
        "train",
        "query",
        "database",
        "classes",
        "split",
        "top_k",
        "normalize",
        "ties",
        "relevance",
        "transform",
        "excluded",
        "targets",
    ),
}
"""By version of the protocol, the fields that its hash always covers. An entry never changes: it is
what stored results and models handed on are compared by."""


class PixelValues(StrEnum):
    """Which values the pixels of an attacked image may have when its code is computed.

    The words are part of a protocol's hash.
    """

    FLOAT = "float"
    """Any: an attacked image is what the attack returned, to float32."""

    EIGHT_BIT = "8bit"
    """Whole 255ths, as in an image file: what an attack returned is rounded inside the ball."""


@dataclass(frozen=True)
class Protocol:
    """Data set, split, relevance rule, list length, AP normaliser and tie rule.

    Attributes:
        dataset: the data set's canonical name with its parameters.
        train, query, database: number of images in each split.
        classes: number of label columns.
        split: SHA-256 over the three splits' pixels and labels.
        top_k: length of the ranked list; `None` for the whole database.
        normalize: what AP is divided by (see `hashbench.retrieval.Normalize`).
        ties: how equal Hamming distances are ordered (see `hashbench.retrieval.Ties`).
        relevance: when two images are relevant to each other.
        transform: how the images were made from their files.
        excluded: how many broken images were left out.
        targets: what targeted attacks lead a query to, and how that is drawn.
        roles: which parts of the user's own data the splits were made of, or how they were drawn.
        version: which fields the hash covers, see `FIELDS`.
        pixels: which values the pixels of attacked images have, see `PixelValues`.

    The words of `relevance`, `transform`, `targets` and `roles` are part of the hash: they are
    names, and are not polished.
    """

    identity: ClassVar[bool] = True

    dataset: str
    train: int
    query: int
    database: int
    classes: int
    split: str
    top_k: int | None
    normalize: str = "retrieved"
    ties: str = "expected"
    relevance: str = "share at least one label"
    transform: str = "none"
    excluded: int = 0
    targets: str = TARGETS
    version: int = 1
    pixels: str = "float"
    roles: str = ""

    def __post_init__(self) -> None:
        if self.version not in FIELDS:
            raise UsageError(
                f"version is {self.version}, but this hashbench knows protocols up to version "
                f"{max(FIELDS)}: update it"
            )

    @property
    def hash(self) -> str:
        """SHA-256 of `to_plain`, as JSON with sorted keys."""
        return hashlib.sha256(json.dumps(self.to_plain(), sort_keys=True).encode()).hexdigest()

    def to_plain(self) -> dict[str, Any]:
        """The fields of its own version, and later ones where they differ from their default.

        A field that is added with a default hence changes neither hash nor stored card, and stands
        in both where it makes two protocols two.
        """
        own = FIELDS[self.version]
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        later = {
            field.name
            for field in fields(self)
            if field.name != "version" and values[field.name] != default_of(field)
        }
        return {name: value for name, value in values.items() if name in own or name in later}

    @property
    def unattacked(self) -> Protocol:
        """The protocol of everything that no attacked image is part of.

        Models, their codes and their clean numbers are the same whatever attacked images may be.
        """
        return replace(self, pixels=PixelValues.FLOAT.value)

    @property
    def metric(self) -> str:
        """The canonical name of mAP under this protocol: `map` or `map@5000`."""
        return "map" if self.top_k is None else f"map@{self.top_k}"


def protocol_of(
    name: str,
    list_length: int | None,
    data: RetrievalData,
    pixels: PixelValues = PixelValues.FLOAT,
) -> Protocol:
    """The protocol of loaded data.

    Args:
        name: the data set's canonical specification, such as `fashion`.
        list_length: of the ranked list; `None` for the whole database.
        data: its splits.
        pixels: which values the pixels of attacked images have.
    """
    digest = hashlib.sha256()
    for part in (data.train, data.query, data.database):
        digest.update(part.digest().encode())
    return Protocol(
        dataset=name,
        train=len(data.train),
        query=len(data.query),
        database=len(data.database),
        classes=len(data.classes),
        split=digest.hexdigest(),
        top_k=list_length,
        transform=data.transform,
        excluded=data.excluded,
        pixels=pixels.value,
        roles=data.roles,
    )
