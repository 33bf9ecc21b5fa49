"""What a store holds: the kinds of artifacts, and the files in them. Names alone."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ArtifactKind(StrEnum):
    """What a step makes; names a folder of the store, and is part of every key.

    Of a database that is encoded and counted part by part, `codes-part` is what one part adds to
    `codes`, and `tally` what it adds to `scores`: nobody needs them once these are there.
    """

    MODEL = "model"
    CODES = "codes"
    CODES_PART = "codes-part"
    ATTACKER = "attacker"
    ADVERSARIAL = "adversarial"
    PROBE = "probe"
    TALLY = "tally"
    SCORES = "scores"
    IMAGES = "images"
    GALLERY = "gallery"
    MATCHES = "matches"
    MATCH_CODES = "match-codes"
    MATCH_FILES = "match-files"


PARTS: Final = (ArtifactKind.CODES_PART, ArtifactKind.TALLY)
"""Kinds of artifacts that are parts of another one."""

CODES: Final = "codes.npz"
"""Of codes and of adversarial codes: arrays by name."""

BOUNDS: Final = "bounds.npz"
"""How many bits of a hash any file can turn at most: one number for each picture."""

IMAGES: Final = "images.npz"
"""The first attacked queries, and their codes; see `hashbench.results.kept_images`."""

GALLERY: Final = "gallery.json"
"""What a report shows of the first queries; see `hashbench.results.kept_gallery`."""

PICTURES: Final = "pictures.bin"
"""The PNG files of a gallery, one behind the other."""

PROBE: Final = "probe.json"
"""The metrics of the probe, by name."""

SCORES: Final = "scores.json"
"""The metrics of a cell by name, and its precision-recall curve."""

PER_QUERY: Final = "per_query.npz"
"""Average precision of each query by tie rule."""

LOG: Final = "log.json"
"""How a training went."""

PART_OF: Final = "part_of"
"""In what a record says of its making: the key of the artifact that this one is a part of."""

MAX_FILE_BYTES: Final = 2**22
"""The largest `scores.json` or `probe.json`: they take a few kB."""

MAX_BYTES: Final = 2**35
"""The largest file of all: weights and codes."""

MAX_PLAN_BYTES: Final = 2**28
"""The largest plan: one of 200,000 cells takes up to 1 kB for each, and its addresses."""

KEY_DIGITS: Final = 20
"""How many digits of a key stand in the names of folders, notes and states."""

ARTIFACTS: Final = "artifacts"
"""The folder of the artifacts, kind by kind."""

FAILURES: Final = "failures"
"""The folder of the notes of failed steps."""

MATCH_PLANS: Final = "matches"
"""The folder of what runs of matches were asked for."""

PLANS: Final = "plans"
"""The folder of what runs were asked for."""

UNFINISHED: Final = "unfinished"
"""The folder of the states of trainings that were interrupted."""

CLAIMS: Final = "claims"
"""The folder that says which run makes what just now."""
