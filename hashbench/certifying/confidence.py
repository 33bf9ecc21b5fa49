"""How likely something is at least, after so many trials."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

ROUNDING: Final = 2.0**-40
"""Taken off what scipy's special functions give, as a share: far more than they are in error."""


def least_probability(successes: Any, trials: int, alpha: float) -> NDArray[np.float64]:
    """The one-sided lower Clopper-Pearson bound of a binomial probability.

    The largest p at which `successes` or more of `trials` have a probability of at most `alpha`,
    less a share of 2^-40 for rounding. Over the trials it is larger than the true probability with
    a probability of at most `alpha`, whatever that is.

    Source: Clopper and Pearson, The use of confidence or fiducial limits illustrated in the case of
    the binomial, Biometrika 26, 1934; as a quantile of the beta distribution.

    Args:
        successes: whole numbers from 0 to `trials`, of any shape.
        trials: their number, at least 1.
        alpha: between 0 and 1.

    Examples:
        >>> least_probability([0, 1000], 1000, 0.001).round(6).tolist()
        [0.0, 0.993116]
    """
    counts = np.asarray(successes, dtype=np.float64)
    # With no success there is no such quantile, and nothing to say.
    found = betaincinv(np.maximum(counts, 1), trials - np.maximum(counts, 1) + 1, alpha)
    bounds: NDArray[np.float64] = np.where(counts > 0, found * (1 - ROUNDING), 0.0)
    return bounds
