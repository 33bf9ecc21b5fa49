"""What is proven of a model's codes over a ball of images, and what that proves of a ranking.

Attacks give upper bounds of a robust mAP, and the next attack lowers them. Here are lower bounds:
no attack inside the threat goes below them, known or unknown.
"""

from __future__ import annotations

from hashbench.certifying.bits import UNCERTAIN, certified_bits
from hashbench.certifying.bounds import logit_bounds
from hashbench.certifying.box import Ball, Box, image_box, pixel_box
from hashbench.certifying.nearest import CertifiedNearest, certified_nearest
from hashbench.certifying.precision import (
    BUDGET,
    CertifiedPrecision,
    CertifiedPrecisionAt,
    certified_precision,
    certified_precision_at,
)
from hashbench.certifying.smoothing import (
    SmoothedBits,
    Smoothing,
    linf_radius,
    majority_codes,
    smoothed_bits,
)
from hashbench.certifying.violations import violations

__all__ = [
    "BUDGET",
    "UNCERTAIN",
    "Ball",
    "Box",
    "CertifiedNearest",
    "CertifiedPrecision",
    "CertifiedPrecisionAt",
    "SmoothedBits",
    "Smoothing",
    "certified_bits",
    "certified_nearest",
    "certified_precision",
    "certified_precision_at",
    "image_box",
    "linf_radius",
    "logit_bounds",
    "majority_codes",
    "pixel_box",
    "smoothed_bits",
    "violations",
]
