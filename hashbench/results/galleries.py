"""Reads the galleries of cells out of stores, each when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hashbench.characters import shown
from hashbench.data.protocol import Protocol
from hashbench.errors import FileError
from hashbench.results.address import Address
from hashbench.results.artifacts import ArtifactKind
from hashbench.results.cell import CLEAN, Cell
from hashbench.results.gallery import Gallery
from hashbench.results.kept_gallery import (
    Bounds,
    Making,
    Sources,
    address_of_gallery,
    gallery_of,
)
from hashbench.results.kept_images import address_of_images
from hashbench.results.planned import StoredCell
from hashbench.results.store import Artifact, Store


@dataclass(frozen=True)
class Galleries:
    """A `GalleryReader` over some stores; it holds no picture.

    Attributes:
        stores: the folders, in the order in which they are looked at.
        planned: what the plans say of the attacked cells.
        protocols: by hash.
    """

    stores: Sequence[Store]
    planned: Mapping[Cell, StoredCell]
    protocols: Mapping[str, Protocol]

    def __call__(self, cell: Cell) -> Gallery | None:
        """The gallery of a cell; `None` where none was kept, or it cannot be read."""
        try:
            return self.read(cell)
        except FileError:
            return None

    def read(self, cell: Cell) -> Gallery | None:
        """The gallery of a cell; `None` where none was kept.

        One whose codes are not those that lie beside it, as two machines' folders may be merged, is
        passed over: it would not show what was scored.

        Raises:
            FileError: there is one, it is damaged, and no other folder has it whole.
        """
        planned = self.planned.get(cell)
        if planned is None or cell.attack == CLEAN:
            return None
        adversarial = _of_kind(planned, ArtifactKind.ADVERSARIAL)
        codes = _of_kind(planned, ArtifactKind.CODES)
        if adversarial is None or codes is None:
            return None
        address = address_of_gallery(adversarial)
        protocol = self.protocols[cell.protocol]
        bounds = Bounds(protocol.query, protocol.database, cell.bits, cell.radius)
        wrong: FileError | None = None
        for store in self.stores:
            try:
                artifact = store.artifact(address)
                if artifact is not None and _is_of(artifact, store, codes, adversarial):
                    return gallery_of(artifact, bounds)
            except FileError as error:
                path = store.folder / address.path
                wrong = wrong or FileError(
                    shown(f"{path}: {error}; delete it, and the next run keeps another")
                )
        if wrong is not None:
            raise wrong
        return None


def _is_of(artifact: Artifact, store: Store, codes: Address, adversarial: Address) -> bool:
    found = Sources.now(store, codes, adversarial, address_of_images(adversarial))
    return not Making.read(artifact).of.contradict(found)


def _of_kind(planned: StoredCell, kind: ArtifactKind) -> Address | None:
    """The artifact of a cell's own; a surrogate's come after those of the attacked model."""
    return next((step for step in planned.steps if step.kind == kind), None)
