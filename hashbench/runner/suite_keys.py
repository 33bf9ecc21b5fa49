"""The keys of a suite file as keyword parameters, so that editors complete and check them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, TypeAlias, TypedDict

from hashbench.eps import Eps
from hashbench.plugins.base import Plugin
from hashbench.plugins.parameters import Spec

Named: TypeAlias = str | Spec | Plugin | Mapping[str, Any]
"""A plugin: `hag`, `hag:steps=500`, `{"name": "hag", "steps": 500}`, or an object of its class."""

Radius: TypeAlias = str | float | Eps
"""`"8/255"`, or a number in `[0, 1]` pixels."""

Folder: TypeAlias = str | PathLike[str]


class SuiteKeys(TypedDict, total=False):
    """What `hashbench.run` and `hashbench.load_suite` take beside a suite.

    Several values make a grid; a single value stands for a list of one. What is not said is taken
    from the quick suite, and the radius, where data or models are named, from the data set.

    Attributes:
        name: what reports call the run.
        dataset, loss, backbone, defense: plugins of the models that are made.
        bits, seed: code lengths, and seeds of training and attacks.
        attack: attacks; empty or `none` for clean queries alone.
        eps: radii in `[0, 1]` pixels, of L-infinity or L2: `8/255`, `l2:0.5`.
        training: of base models, such as `{"epochs": 10, "batch": 32}`.
        budget: of trained defenses: `epochs`, `inner_steps`, `eps`.
        compute: `threads`, `attack_batch`, `device` (`cpu` or `cuda`), `precision`,
            `search` (the precision of attacks before the verdict), `processes` (that train a model
            together), `database_part` (images of a database that one step encodes and counts).
        limits: `passes`, how often an attack may ask the model per query.
        pixels: of attacked images, `float` or `8bit` (whole pixels, as in a file).
        keep_images: how many attacked images are kept of each cell.
        certify: whether each model gets a certificate at each radius; by default where any of them
            has a defense that is trained for one.
        root: the folder of data sets that do not ship.
        checkpoint: a folder to take the base model from, instead of training it.
        model: folders of models that were made before; their cards say what a grid would.
        plugin: Python files with further plugins.
    """

    name: str
    dataset: Named | Sequence[Named]
    loss: Named | Sequence[Named]
    backbone: Named | Sequence[Named]
    bits: int | Sequence[int]
    defense: Named | Sequence[Named]
    attack: Named | Sequence[Named]
    eps: Radius | Sequence[Radius]
    seed: int | Sequence[int]
    training: Mapping[str, Any]
    budget: Mapping[str, Any]
    compute: Mapping[str, Any]
    limits: Mapping[str, Any]
    pixels: str
    keep_images: int
    certify: bool
    root: Folder
    checkpoint: Folder
    model: Folder | Sequence[Folder]
    plugin: Folder | Sequence[Folder]
