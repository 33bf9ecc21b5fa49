"""Settings: the data and the choices that all steps of one model share. Pure description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hashbench.data.contract import Dataset
from hashbench.data.protocol import Protocol
from hashbench.hashing.answers import bare_of
from hashbench.hashing.backbone import InputSpec
from hashbench.hashing.contract import Backbone, Loss
from hashbench.hashing.encode import ENCODE_BATCH
from hashbench.plugins.parameters import canonical
from hashbench.results.cell import CLEAN, Cell
from hashbench.runner.fingerprint import describe, sha256_of
from hashbench.runner.suite_tables import Compute


@dataclass(frozen=True)
class Source:
    """The data of a cell: the plugin that loads it, from where, and the protocol that came out.

    The folder is no part of any key: the protocol's content hash is.
    """

    dataset: Dataset
    root: Path | None
    protocol: Protocol
    images: InputSpec


@dataclass(frozen=True)
class Setting:
    """What all steps of a model share.

    Attributes:
        source: the data.
        loss, backbone, bits, seed: of the cell.
        compute: threads, batch, device and precision.
    """

    source: Source
    loss: Loss
    backbone: Backbone
    bits: int
    seed: int
    compute: Compute

    def clean_cell(self, defense: str, training: Mapping[str, Any]) -> Cell:
        """The cell of a model's clean queries.

        Args:
            defense: its canonical name.
            training: what reports say of how the model was trained.
        """
        return Cell(
            dataset=self.source.protocol.dataset,
            loss=canonical(self.loss),
            backbone=canonical(self.backbone),
            bits=self.bits,
            defense=defense,
            attack=CLEAN,
            eps="0",
            seed=self.seed,
            protocol=self.source.protocol.hash,
            training=sha256_of(training),
        )

    def described(self, *, bare: bool = False) -> dict[str, Any]:
        """Plain data for keys: everything but what concerns attacks alone.

        That is the attack batch, and the pixels of attacked images.

        Args:
            bare: leave out what the backbone starts from, since other weights are loaded.
        """
        described = {
            "protocol": self.source.protocol.unattacked.hash,
            "loss": describe(self.loss),
            "backbone": describe(bare_of(self.backbone) if bare else self.backbone),
            "bits": self.bits,
            "seed": self.seed,
            "threads": self.compute.threads,
            "device": self.compute.device,
            "precision": self.compute.precision,
        }
        if self.compute.processes > 1 and not bare:
            described["processes"] = self.compute.processes
        return described

    @cached_property
    def parts(self) -> tuple[range, ...]:
        """The rows of the parts in which a large database is encoded and counted; else none.

        A part begins where a block does that is encoded together. So every image has the same
        neighbours in its block as if the database were encoded at once: a processor may add the
        floats of another block in another order, and turn a bit.
        """
        images = self.source.protocol.database
        step = -(-self.compute.database_part // ENCODE_BATCH) * ENCODE_BATCH
        if images <= step:
            return ()
        return tuple(range(start, min(images, start + step)) for start in range(0, images, step))

    @cached_property
    def slug(self) -> str:
        """Readable words for file names and progress lines."""
        return (
            f"{self.source.protocol.dataset} {canonical(self.loss)} "
            f"{canonical(self.backbone)} {self.bits} bits seed {self.seed}"
        )
