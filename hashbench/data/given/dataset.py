"""Data in the memory of this process, as a data set that a run takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from hashbench.data.contract import Dataset
from hashbench.data.images import RetrievalData
from hashbench.plugins.card import Card
from hashbench.plugins.kinds import Kind


@dataclass(frozen=True, eq=False)
class GivenData(Dataset):
    """Data in the memory of this process, as a data set; it is known by no name elsewhere.

    Attributes:
        data: its splits.
        name: what protocols and rows call it.
        length: of the ranked list; `None` for the whole database.
        card: as a plugin's, with that name.
    """

    data: RetrievalData
    name: str
    length: int | None = None
    card: Card = field(init=False)  # type: ignore[misc] # of the object: each has its own name

    def __post_init__(self) -> None:
        card = Card(kind=Kind.DATASET, name=self.name, summary="Handed over by a program.")
        object.__setattr__(self, "card", card)

    @override
    def list_length(self) -> int | None:
        return self.length

    @override
    def protocol_name(self) -> str:
        return self.name

    @override
    def load(self, root: Path | None) -> RetrievalData:
        return self.data
