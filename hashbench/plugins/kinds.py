"""The kinds of plugin, and the entry-point group that each kind is found in."""

from __future__ import annotations

from enum import StrEnum

from typing_extensions import override


class Kind(StrEnum):
    """What a plugin is: its singular name, as in `hashbench.plugins.get("attack", "hag")`."""

    ATTACK = "attack"
    DEFENSE = "defense"
    LOSS = "loss"
    BACKBONE = "backbone"
    DATASET = "dataset"
    FORMAT = "format"
    HASHER = "hasher"

    @property
    def plural(self) -> str:
        """The kind's name for a list: `attacks`, `losses`, ..."""
        return f"{self.value}es" if self.value.endswith("s") else f"{self.value}s"

    @property
    def decorator(self) -> str:
        """The name of what declares such a plugin: the kind's, but `format` is Python's own."""
        return "report_format" if self is Kind.FORMAT else self.value

    @property
    def group(self) -> str:
        """The entry-point group, for example `hashbench.attacks`."""
        return f"hashbench.{self.plural}"

    @classmethod
    @override
    def _missing_(cls, value: object) -> Kind | None:
        # The plural is what the entry-point groups and suite files say: accept it everywhere.
        return next((kind for kind in cls if kind.plural == value), None)
