"""Keeps what a report shows of the first attacked queries: pictures, and what the search returns.

It is made where a cell is scored, from codes and images that are kept by then. Nothing that goes
wrong here takes anything from a cell; only a full disk ends the run, as it would a moment later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hashbench.characters import counted, shortened, shown
from hashbench.data.images import ImageSet
from hashbench.errors import FileError, WriteError
from hashbench.progress import Progress
from hashbench.results.artifacts import CODES
from hashbench.results.kept_gallery import (
    HIT_SIDE,
    MAX_LABEL,
    MOST_SHOWN,
    QUERY_SIDE,
    SHOWN_HITS,
    Making,
    Sources,
    StoredExhibit,
    StoredGallery,
    StoredImage,
    StoredRanking,
    address_of_gallery,
)
from hashbench.results.kept_images import address_of_images, kept_images
from hashbench.results.pictures import CHANNELS, at_most, png, thumbnail
from hashbench.results.store import Store
from hashbench.retrieval import Scorer, Shard, Ties
from hashbench.runner.determinism import environment
from hashbench.runner.evaluation_steps import AdversarialCodes, Scores
from hashbench.runner.loading import data_of, read_npz
from hashbench.runner.plan import Plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.score_files import scores

_LEVELS = 255


def scores_and_gallery(step: Scores, store: Store, progress: Progress) -> Mapping[str, bytes]:
    """The metrics of a cell; its gallery goes to a place of its own, and is written first."""
    files = scores(step, store, progress)
    if step.adversarial is not None:
        _tried(step.adversarial, store)
    return files


def keep_missing_galleries(plan: Plan, store: Store, reporter: Reporter) -> None:
    """Keep the galleries of finished attacks that have none, from what is stored; attacks nothing.

    They lack one where an earlier version made the cell, where it was deleted, or where more images
    were kept than before. What cannot be kept is told.

    Args:
        plan: whose cells are looked at.
        store: where they lie.
        reporter: told of galleries that cannot be kept.
    """
    reasons = []
    for step in plan.steps:
        if isinstance(step, AdversarialCodes):
            try:
                reason = _tried(step, store)
            except WriteError as error:  # the disk is full, and all results are there
                reason = str(error)
            if reason:
                reasons.append(reason)
    if reasons:
        cells = counted(len(reasons), "cell")
        reporter.note(
            f"reports will show no pictures of {cells}, whose results are whole: {reasons[0]}"
        )


def _tried(step: AdversarialCodes, store: Store) -> str:
    """Keep a gallery where one is wanted; why that failed, in a clause, or nothing.

    Raises:
        WriteError: the disk is full.
    """
    try:
        if is_wanted(step, store):
            keep_gallery(step, store)
    except WriteError as error:
        if error.no_room:
            raise
        return str(error)
    except Exception as error:  # data that are read late may raise anything: a cell outlives it
        return shown(shortened(str(error) or type(error).__name__, 300))
    return ""


def is_wanted(step: AdversarialCodes, store: Store) -> bool:
    """Whether a gallery has to be made: there are images to show, and none shows them.

    The records of artifacts alone are looked at.
    """
    if not step.keep or step.setting.source.images.channels not in CHANNELS:
        return False
    found = _sources(step, store)
    if not (found.codes and found.adversarial and found.images):
        return False
    try:
        artifact = store.artifact(address_of_gallery(step.address))
        if artifact is None:
            return True
        made = Making.read(artifact)
    except FileError:
        return True
    return made.of != found or made.queries < min(step.keep, made.kept, MOST_SHOWN)


def keep_gallery(step: AdversarialCodes, store: Store) -> None:
    """Write the gallery of an attack whose codes and images are stored.

    None is written where the images are of other codes than the stored ones.

    Raises:
        FileError: the images are damaged.
        StoreError: the codes are.
        WriteError: it cannot be written.
    """
    setting = step.setting
    protocol, images, data = setting.source.protocol, setting.source.images, data_of(setting)
    of = _sources(step, store)
    shape = (images.channels, images.height, images.width)
    kept = kept_images(store, step.address, shape, setting.bits)
    attacked = read_npz(store, step, CODES)["codes"]
    if kept is None or not kept.are_of(attacked):
        return
    clean = read_npz(store, step.codes, CODES)
    count = min(step.keep, len(kept), MOST_SHOWN)
    # One search for both: the database is packed once.
    codes = np.concatenate([clean["query"][:count], attacked[:count]])
    labels = data.query.labels[:count]
    scorer = Scorer(
        codes, np.concatenate([labels, labels]), Shard(clean["database"], data.database.labels)
    )
    precision = scorer.average_precision(
        top_k=protocol.top_k, ties=Ties.EXPECTED, normalize=protocol.normalize
    ).reshape(2, count)
    nearest, distances = nearest_of(codes, clean["database"], SHOWN_HITS)
    made = _Pictures()
    queries = [made.add(_shown(one)) for one in np.asarray(data.query.images[:count])]
    changed = [made.add(_shown(one)) for one in in_whole_pixels(kept.images[:count])]
    places = np.unique(nearest)
    classes = _Classes(data.classes)
    found = _database_images(data.database, places, made, classes)
    rankings = [
        StoredRanking(tuple(np.searchsorted(places, near).tolist()), tuple(far.tolist()))
        for near, far in zip(nearest, distances, strict=True)
    ]
    gallery = StoredGallery(
        exhibits=tuple(
            StoredExhibit(
                labels=classes.of(labels[at]),
                clean=queries[at],
                attacked=changed[at],
                before=rankings[at],
                after=rankings[count + at],
                precision=tuple(precision[:, at].tolist()),
            )
            for at in range(count)
        ),
        images=found,
        classes=tuple(classes.names),
        pictures=tuple(map(len, made.contents)),
    )
    about = {
        "label": f"gallery of {step.label}",
        "from": [step.key],
        "environment": environment(),
        **Making(of, count, len(kept)).about(),
    }
    store.write(address_of_gallery(step.address), gallery.files(made.contents), about)


def nearest_of(
    codes: NDArray[np.int8], database: NDArray[np.int8], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The best of the database for each code, equal distances in the order of the database.

    Args:
        codes: (Q, K) of +1 and -1.
        database: (N, K).
        count: how many; all where there are fewer.

    Returns:
        Their places and their distances, (Q, min(count, N)) each.
    """
    items = len(database)
    count = min(count, items)
    places, distances = (np.empty((len(codes), count), dtype=np.int64) for _ in range(2))
    for at, code in enumerate(codes):
        # No two of these are equal, so whatever sorts them, there is one order.
        ranks = np.count_nonzero(database != code, axis=1) * items + np.arange(items)
        best = np.sort(np.partition(ranks, count - 1)[:count])
        distances[at], places[at] = np.divmod(best, items)
    return places, distances


def in_whole_pixels(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Images in `[0, 1]`, each pixel the nearest of 256; the even one of two."""
    # A float32 times 255 is exact in a double.
    return np.rint(images.astype(np.float64) * _LEVELS).astype(np.uint8)


def _sources(step: AdversarialCodes, store: Store) -> Sources:
    return Sources.now(store, step.codes.address, step.address, address_of_images(step.address))


def _shown(pixels: NDArray[np.uint8]) -> bytes:
    return png(at_most(pixels, QUERY_SIDE))


def _database_images(
    images: ImageSet, places: NDArray[np.int64], made: _Pictures, classes: _Classes
) -> tuple[StoredImage, ...]:
    pixels = images.images[places]
    return tuple(
        StoredImage(place, made.add(thumbnail(one, HIT_SIDE)), classes.of(images.labels[place]))
        for place, one in zip(places.tolist(), pixels, strict=True)
    )


class _Pictures:
    """Pictures, each content once.

    Attributes:
        contents: files, by their numbers.
    """

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    @property
    def contents(self) -> Sequence[bytes]:
        return list(self._numbers)

    def add(self, content: bytes) -> int:
        """The number of a picture."""
        return self._numbers.setdefault(content, len(self._numbers))


class _Classes:
    """Names of classes, of those alone that something is of.

    Attributes:
        names: by their numbers.
    """

    def __init__(self, all_names: Sequence[str]) -> None:
        self.names: list[str] = []
        self._all = all_names
        self._numbers: dict[int, int] = {}

    def of(self, row: NDArray[np.uint8]) -> tuple[int, ...]:
        """Numbers of the classes of an image."""
        return tuple(sorted(map(self._number, np.flatnonzero(row).tolist())))

    def _number(self, column: int) -> int:
        if column not in self._numbers:
            self._numbers[column] = len(self.names)
            self.names.append(shortened(shown(self._all[column]) or str(column), MAX_LABEL))
        return self._numbers[column]
