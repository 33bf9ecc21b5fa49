"""The cross-check of proofs and attacks: an attack below a proof shows a fault in one of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from hashbench.certifying.precision import CertifiedPrecision
from hashbench.errors import UsageError
from hashbench.retrieval.harmonic import Ints

# An AP is a sum over at most K + 1 distances, each term right to a few units of its last place.
_UNITS: Final = 8 * float(np.finfo(np.float64).eps)


def violations(certified: CertifiedPrecision, attacked: Any) -> Ints:
    """Queries whose AP under an attack lies below the certified one by more than rounding.

    The room for rounding is that of the certificate (`CertifiedPrecision.rounding`) and that of an
    AP itself, `8 (K + 1)` units of the last place of 1; together about 3e-10 for 10,000 items.
    Results in a folder tell neither of the two, only how many items there are, so
    `hashbench.results.certificates` leaves more room.
    Both APs must be of the same queries, database, `top_k` and `normalize`, ties in their worst
    order, and the attack inside the ball that was certified.

    Args:
        certified: what `certified_precision` proved.
        attacked: `(Q,)`, AP of the attacked queries, ties in their worst order.

    Returns:
        int64, the positions of these queries in growing order; none if all is well. A NaN counts:
        it proves nothing to be well.

    Raises:
        UsageError: another number of queries.

    Examples:
        >>> import numpy as np
        >>> database, labels = [[1, 1], [1, -1]], [[1, 0], [0, 1]]
        >>> from hashbench.certifying import certified_precision
        >>> certified = certified_precision([[1, 1], [1, 0]], [[1, 0]] * 2, database, labels)
        >>> violations(certified, np.array([1.0, 0.25])).tolist()
        [1]
    """
    found = np.asarray(attacked, dtype=np.float64)
    proven = certified.average_precision
    if found.shape != proven.shape:
        raise UsageError(
            f"attacked: expected the AP of each of {proven.size} queries, found shape {found.shape}"
        )
    room = certified.rounding + _UNITS * (certified.codes.shape[1] + 1)
    return np.flatnonzero(~(found >= proven - room))
