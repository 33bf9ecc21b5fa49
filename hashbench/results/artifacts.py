"""What a store holds: the kinds of artifacts, and the files in them. Names alone."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ArtifactKind(StrEnum):
    """What a step makes; names a folder of the store, and is part of every key."""

    MODEL = "model"
    CODES = "codes"
    ATTACKER = "attacker"
    ADVERSARIAL = "adversarial"
    PROBE = "probe"
    SCORES = "scores"
    IMAGES = "images"


CODES: Final = "codes.npz"
"""Of codes and of adversarial codes: arrays by name."""

IMAGES: Final = "images.npz"
"""The first attacked queries, and their codes; see `hashbench.results.kept_images`."""

PROBE: Final = "probe.json"
"""The metrics of the probe, by name."""

SCORES: Final = "scores.json"
"""The metrics of a cell by name, and its precision-recall curve."""

PER_QUERY: Final = "per_query.npz"
"""Average precision of each query by tie rule."""

LOG: Final = "log.json"
"""How a training went."""

MAX_FILE_BYTES: Final = 2**22
"""The largest `scores.json` or `probe.json`: they take a few kB."""

MAX_BYTES: Final = 2**35
"""The largest file of all: weights and codes."""

MAX_PLAN_BYTES: Final = 2**26
"""The largest plan."""

KEY_DIGITS: Final = 20
"""How many digits of a key stand in the names of folders, notes and states."""

UNFINISHED: Final = "unfinished"
"""The folder of the states of trainings that were interrupted."""
