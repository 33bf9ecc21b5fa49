"""Plugins: what an author imports to write one, and how the rest of hashbench finds them by name.

    from hashbench.plugins import Attack, attack

Nobody imports a plugin; `get` and `names` find it. Every name is imported when it is first used:
the contract of a kind lies in the room whose words it uses, and some of these rooms need torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hashbench.deprecated import former_names

if TYPE_CHECKING:
    from hashbench.attacking.contract import Attack as Attack
    from hashbench.attacking.contract import Surrogate as Surrogate
    from hashbench.attacking.contract import TrainedAttack as TrainedAttack
    from hashbench.data.contract import Dataset as Dataset
    from hashbench.defending.contract import Defense as Defense
    from hashbench.defending.contract import TrainedDefense as TrainedDefense
    from hashbench.defending.contract import WrappingDefense as WrappingDefense
    from hashbench.eps import Norm as Norm
    from hashbench.hashing.contract import Backbone as Backbone
    from hashbench.hashing.contract import Loss as Loss
    from hashbench.matching.contract import Hasher as Hasher
    from hashbench.matching.contract import Proof as Proof
    from hashbench.plugins.base import Plugin as Plugin
    from hashbench.plugins.base import attack as attack
    from hashbench.plugins.base import backbone as backbone
    from hashbench.plugins.base import dataset as dataset
    from hashbench.plugins.base import defense as defense
    from hashbench.plugins.base import hasher as hasher
    from hashbench.plugins.base import loss as loss
    from hashbench.plugins.base import report_format as report_format
    from hashbench.plugins.card import Access as Access
    from hashbench.plugins.card import Aim as Aim
    from hashbench.plugins.card import Card as Card
    from hashbench.plugins.card import Draws as Draws
    from hashbench.plugins.card import Knowledge as Knowledge
    from hashbench.plugins.kinds import Kind as Kind
    from hashbench.plugins.lookup import files as files
    from hashbench.plugins.lookup import get as get
    from hashbench.plugins.lookup import names as names
    from hashbench.plugins.lookup import registry as registry
    from hashbench.plugins.lookup import use_file as use_file
    from hashbench.plugins.parameters import Spec as Spec
    from hashbench.plugins.paths import FileOr as FileOr
    from hashbench.plugins.units import PixelSize as PixelSize
    from hashbench.plugins.units import Unit as Unit
    from hashbench.results.contract import Format as Format

_NAMES = {
    "hashbench.attacking.contract": ("Attack", "Surrogate", "TrainedAttack"),
    "hashbench.data.contract": ("Dataset",),
    "hashbench.defending.contract": ("Defense", "TrainedDefense", "WrappingDefense"),
    "hashbench.eps": ("Norm",),
    "hashbench.hashing.contract": ("Backbone", "Loss"),
    "hashbench.matching.contract": ("Hasher", "Proof"),
    "hashbench.plugins.base": (
        "Plugin",
        "attack",
        "backbone",
        "dataset",
        "defense",
        "hasher",
        "loss",
        "report_format",
    ),
    "hashbench.plugins.card": ("Access", "Aim", "Card", "Draws", "Knowledge"),
    "hashbench.plugins.kinds": ("Kind",),
    "hashbench.plugins.lookup": ("files", "get", "names", "registry", "use_file"),
    "hashbench.plugins.parameters": ("Spec",),
    "hashbench.plugins.paths": ("FileOr",),
    "hashbench.plugins.units": ("PixelSize", "Unit"),
    "hashbench.results.contract": ("Format",),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}
_FORMER = {
    "format": "hashbench.plugins.report_format",  # hid the function of Python's own
    "testing": "hashbench.testing",
}
_former = former_names(__name__, _FORMER, gone="0.2", callers=2)

__all__ = [
    "Access",
    "Aim",
    "Attack",
    "Backbone",
    "Card",
    "Dataset",
    "Defense",
    "Draws",
    "FileOr",
    "Format",
    "Hasher",
    "Kind",
    "Knowledge",
    "Loss",
    "PixelSize",
    "Plugin",
    "Proof",
    "Spec",
    "Surrogate",
    "TrainedAttack",
    "TrainedDefense",
    "Unit",
    "WrappingDefense",
    "attack",
    "backbone",
    "dataset",
    "defense",
    "files",
    "get",
    "hasher",
    "loss",
    "names",
    "registry",
    "report_format",
    "use_file",
]


if not TYPE_CHECKING:  # for checkers a name that is not above is a mistake

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        return _former(name)


def __dir__() -> list[str]:
    return sorted(__all__)
