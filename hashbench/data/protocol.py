"""The protocol card: what two numbers must share before they may stand in one table."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from hashbench.data.images import RetrievalData
from hashbench.data.targets import TARGETS


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
    """

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

    @property
    def hash(self) -> str:
        """SHA-256 over every field."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def metric(self) -> str:
        """The canonical name of mAP under this protocol: `map` or `map@5000`."""
        return "map" if self.top_k is None else f"map@{self.top_k}"


def protocol_of(name: str, list_length: int | None, data: RetrievalData) -> Protocol:
    """The protocol of loaded data.

    Args:
        name: the data set's canonical specification, such as `fashion`.
        list_length: of the ranked list; `None` for the whole database.
        data: its splits.
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
    )
