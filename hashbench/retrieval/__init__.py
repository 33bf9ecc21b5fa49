"""Hamming retrieval: packed codes, rankings, average precision, pairs that match, center codes.

Takes arrays or tensors, needs numpy alone, and reads files only where a shard names one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashbench.deprecated import former_names
from hashbench.retrieval.centers import center_codes
from hashbench.retrieval.curves import RECALL_LEVELS, PrecisionRecall
from hashbench.retrieval.database import Shard
from hashbench.retrieval.distances import distance_histogram, pair_distances
from hashbench.retrieval.functions import (
    average_precision,
    average_precisions,
    mean_average_precision,
    precision_at,
    precision_recall_curve,
    precision_within_radius,
    recall_at,
)
from hashbench.retrieval.options import Kernel, Normalize, RecallRounding, Ties, Weighting
from hashbench.retrieval.packing import pack_codes, unpack_codes
from hashbench.retrieval.parts import (
    Part,
    merge_tallies,
    parts_of,
    tally_of_part,
    tally_of_parts,
)
from hashbench.retrieval.protocol import (
    DegenerateQueries,
    ceiling,
    chance_level,
    degenerate_queries,
)
from hashbench.retrieval.quality import CodeQuality, code_quality
from hashbench.retrieval.scorer import Scorer
from hashbench.retrieval.tally import Tally
from hashbench.retrieval.verification import Verification

__all__ = [
    "RECALL_LEVELS",
    "CodeQuality",
    "DegenerateQueries",
    "Kernel",
    "Normalize",
    "Part",
    "PrecisionRecall",
    "RecallRounding",
    "Scorer",
    "Shard",
    "Tally",
    "Ties",
    "Verification",
    "Weighting",
    "average_precision",
    "average_precisions",
    "ceiling",
    "center_codes",
    "chance_level",
    "code_quality",
    "degenerate_queries",
    "distance_histogram",
    "mean_average_precision",
    "merge_tallies",
    "pack_codes",
    "pair_distances",
    "parts_of",
    "precision_at",
    "precision_recall_curve",
    "precision_within_radius",
    "recall_at",
    "tally_of_part",
    "tally_of_parts",
    "unpack_codes",
]

_FORMER = {"Engine": "hashbench.retrieval.Kernel"}

if not TYPE_CHECKING:
    __getattr__ = former_names(__name__, _FORMER, gone="0.2")
