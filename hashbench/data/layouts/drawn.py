"""A seeded split of images that come without one.

Every image has a rank: the SHA-256 of the seed and of its path. Within each class the lowest ranks
are the queries. So the split is the same on every machine, whatever the order of the file system
and wherever the folder lies; and a class or an image that is added moves next to nothing: other
classes keep their ranks, and shares of a class change at its margin alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hashbench.data.layouts.amounts import Amount, parse_amount
from hashbench.data.lists.listing import ListedSplit
from hashbench.errors import UsageError

QUERY_SHARE: Final = Fraction(1, 10)
"""What becomes queries where nothing is said."""

_Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """Rows of each split, int64, ascending; the train rows are rows of the database."""

    train: _Indices
    query: _Indices
    database: _Indices


def draw(images: ListedSplit, amounts: Mapping[str, str], seed: int) -> Drawn:
    """Draw queries, then the database from the rest, then the train set from the database.

    Where every image has one label, each class gives its share; a number of images is spread over
    the classes by their sizes. A class keeps at least one image that is no query, and gives at
    least one query to a share. Rows of the same path go together.

    Args:
        images: all of them.
        amounts: for `query` (by default a tenth), `database` (by default the rest) and `train` (by
            default the database); shares are of all images.
        seed: of the ranks.

    Raises:
        UsageError: there are too few images for the amounts.
    """
    wanted = {role: parse_amount(text, role) for role, text in amounts.items()}
    first = dict[str, int]()
    unit = np.array([first.setdefault(path, len(first)) for path in images.paths], np.int64)
    paths = list(first)
    groups = _groups(images, unit, len(paths))
    sizes = np.bincount(groups)
    order = _ranked(paths, groups, f"query {seed}")
    counts = _given_by(wanted.get("query", Amount(share=QUERY_SHARE)), sizes, sizes - 1)
    if not counts.sum():
        raise UsageError(
            f"{images.file}: no query can be drawn from {len(paths):,} images of {len(sizes):,} "
            "classes, since each class keeps one image for the database"
        )
    _enough(images, "query", wanted, int(counts.sum()), int((sizes - 1).sum()))
    query = _lowest(order, groups, counts)
    rest = order[~np.isin(order, query)]
    left = sizes - counts
    database = rest
    if "database" in wanted:
        counts = _given_by(wanted["database"], sizes, left)
        _enough(images, "database", wanted, int(counts.sum()), int(left.sum()))
        database = _lowest(rest, groups, counts)
        left = counts
    train = database
    if "train" in wanted:
        order = _ranked(paths, groups, f"train {seed}")
        counts = _given_by(wanted["train"], sizes, left)
        _enough(images, "train", wanted, int(counts.sum()), int(left.sum()))
        train = _lowest(order[np.isin(order, database)], groups, counts)
    return Drawn(*(np.flatnonzero(np.isin(unit, part)) for part in (train, query, database)))


def described(amounts: Mapping[str, str], seed: int) -> str:
    """The drawing in words, as it stands in the protocol's card."""
    words = [
        f"query {amounts.get('query', '10%')}",
        f"train {amounts.get('train', 'the database')}",
        f"database {amounts.get('database', 'the rest')}",
    ]
    return f"drawn, seed {seed}: {', '.join(words)}"


def _groups(images: ListedSplit, unit: _Indices, count: int) -> _Indices:
    """The class of each distinct image; one group for all where an image has none or several."""
    if not (images.labels.sum(axis=1) == 1).all():
        return np.zeros(count, np.int64)
    groups = np.zeros(count, np.int64)
    groups[unit] = images.labels.argmax(axis=1)
    return np.asarray(np.unique(groups, return_inverse=True)[1], np.int64)


def _ranked(paths: list[str], groups: _Indices, salt: str) -> _Indices:
    """The images by class, and by rank in each."""
    ranks = [
        hashlib.sha256(f"hashbench split {salt} {path}".encode()).digest()[:16] for path in paths
    ]
    group = groups.tolist()
    return np.array(sorted(range(len(paths)), key=lambda row: (group[row], ranks[row])), np.int64)


def _lowest(order: _Indices, groups: _Indices, counts: _Indices) -> _Indices:
    """The first so many of each group, of images that are in order."""
    of = groups[order]
    low = np.arange(len(order)) - np.searchsorted(of, of) < counts[of]
    return np.asarray(order[low], np.int64)


def _given_by(amount: Amount, sizes: _Indices, most: _Indices) -> _Indices:
    """How many images each group gives, at most `most`."""
    if amount.share is not None:
        asked = np.array([int(amount.share * int(size) + Fraction(1, 2)) for size in sizes])
        return np.asarray(np.minimum(np.maximum(asked, 1), most), np.int64)
    assert amount.count is not None
    return spread(amount.count, most)


def spread(total: int, sizes: _Indices) -> _Indices:
    """Spread a number over groups by their sizes, by largest remainders; earlier groups first.

    Args:
        total: the sum of what is returned, unless the sizes' sum is less.
        sizes: int64 (G,), at least 0.

    Returns:
        int64 (G,), each at most its size.
    """
    every = int(sizes.sum())
    total = min(total, every)
    if not total:
        return np.zeros_like(sizes)
    exact = [total * int(size) for size in sizes]
    counts = np.array([value // every for value in exact], np.int64)
    remainders = [value % every for value in exact]
    order = sorted(range(len(sizes)), key=lambda group: (-remainders[group], group))
    counts[order[: total - int(counts.sum())]] += 1
    return counts


def _enough(
    images: ListedSplit, role: str, wanted: Mapping[str, Amount], found: int, most: int
) -> None:
    amount = wanted.get(role)
    if amount is not None and amount.count is not None and found < amount.count:
        raise UsageError(
            f"{images.file}: {role}={amount.count} asks for more images than there are for it "
            f"({most:,})"
        )
