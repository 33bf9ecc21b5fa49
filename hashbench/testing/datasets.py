"""Checks of data sets, and the stage that they are tried on."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from hashbench.data.contract import Dataset
from hashbench.data.images import ImageSet, RetrievalData
from hashbench.data.protocol import protocol_of
from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.plugins.blame import came
from hashbench.progress import no_progress
from hashbench.testing.checking import Check, NotKeptError, check, require, said, skip_unless
from hashbench.testing.surroundings import own_random_state

SPLITS: Final = ("train", "query", "database")
_PART: Final = 500
_LOOKED_AT: Final = 64
"""Images of a split whose pixels are looked at."""


class DatasetStage:
    """Loads one data set."""

    def __init__(self, dataset: Dataset, root: Path | None = None) -> None:
        """Take a data set, which is never changed, and the folder that its user would name."""
        self.plugin = dataset
        self.root = root
        self.blamed = (dataset, "load")

    def load(self, seed: int = 0) -> RetrievalData:
        """As a run does: the folder, `prepare`, `load`."""
        with own_random_state(seed):
            where = self.plugin.home(self.root)
            self.plugin.prepare(where, no_progress)
            return self.plugin.load(where)

    @cached_property
    def usual(self) -> RetrievalData:
        """Loaded once, looked at often."""
        return self.load()

    @cached_property
    def again(self) -> RetrievalData:
        """Loaded a second time, under another seed of the process: large ones are read twice."""
        return self.load(seed=1)

    @cached_property
    def difference(self) -> str:
        """How what was loaded a second time differs; empty where it does not."""
        return self.differs(self.again)

    def differs(self, other: RetrievalData) -> str:
        """How other data differ from these, as a clause; empty where they do not."""
        if other.classes != self.usual.classes:
            return "its classes are others"
        for name, one in self.splits:
            part: ImageSet = getattr(other, name)
            if len(one) != len(part):
                return f"its {name} split has {len(part)} images"
            if not np.array_equal(one.labels, part.labels):
                return f"its {name} labels are others"
            if self.fingerprints[name] != _pixels(part):
                return f"its {name} images are others"
            if one.digest() != part.digest():
                return (
                    f"the digest of its {name} split is another: its field content must follow "
                    "from the images alone"
                )
        return ""

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Of the pixels of each split as it was loaded first."""
        return {name: _pixels(part) for name, part in self.splits}

    @property
    def splits(self) -> Iterator[tuple[str, ImageSet]]:
        """The three splits by name."""
        for name in SPLITS:
            yield name, getattr(self.usual, name)


@check("home", "it says whether it needs a folder, and asks for one by name", method="home")
def home(stage: DatasetStage) -> None:
    dataset = stage.plugin
    require(
        isinstance(dataset.needs_root, bool), f"needs_root is {dataset.needs_root!r}, not a bool"
    )
    if not dataset.needs_root:
        found = dataset.home(None)
        require(found is None, f"home(None) returns {found!r}, expected None: needs_root is false")
        return
    with _refused("home(None) must raise a UsageError: without --root there is nothing to read"):
        dataset.home(None)


@check("loads", "load() returns a RetrievalData")
def loads(stage: DatasetStage) -> None:
    found: object = _loaded(stage)
    require(
        isinstance(found, RetrievalData),
        f"load() returned {came(found)}, not a RetrievalData: return "
        "hashbench.data.RetrievalData(classes, train, query, database)",
    )


@contextmanager
def _refused(sentence: str) -> Iterator[None]:
    """The block ends in a UsageError; the sentence says that it must."""
    try:
        yield
    except UsageError:
        return
    except Exception as error:  # a plugin may raise anything
        raise NotKeptError(f"{sentence}; it raised {said(error)}") from error
    raise NotKeptError(sentence)


def _loaded(stage: DatasetStage) -> RetrievalData:
    """What was loaded; not tried where its user's folder was not named."""
    skip_unless(
        not stage.plugin.needs_root or stage.root is not None,
        "it is read from a folder, and none was named",
    )
    return stage.usual


@check(
    "empty-folder",
    "a folder without its files is refused with a UsageError that names what is missing",
    needs=["home"],
)
def empty_folder(stage: DatasetStage) -> None:
    skip_unless(stage.plugin.needs_root, "needs no folder")
    sentence = "an empty folder must be refused with a UsageError"
    with tempfile.TemporaryDirectory() as folder, _refused(sentence):
        where = stage.plugin.home(Path(folder))
        stage.plugin.prepare(where, no_progress)
        stage.plugin.load(where)


@check("classes", "classes are the different names of the label columns", needs=["loads"])
def classes(stage: DatasetStage) -> None:
    found = _loaded(stage).classes
    require(
        isinstance(found, tuple) and all(isinstance(name, str) and name for name in found),
        f"classes is {found!r}, expected a tuple of names",
    )
    require(len(found) >= 2, f"there are {len(found)} classes: nothing is irrelevant to anything")
    twice = sorted({name for name in found if found.count(name) > 1})
    require(not twice, f"the class name '{twice[0] if twice else ''}' stands there twice")


@check("labels", "labels are 0 and 1, and not every image has every label", needs=["loads"])
def labels(stage: DatasetStage) -> None:
    _loaded(stage)
    for name, part in stage.splits:
        values = np.unique(part.labels)
        require(
            bool(np.isin(values, (0, 1)).all()), f"the {name} labels hold {values.tolist()[:5]}"
        )
        require(bool(part.labels.any()), f"no {name} image has a label")
        require(not bool(part.labels.all()), f"every {name} image has every label")


@check(
    "relevant",
    "queries share a label with images of the database and of the train set",
    needs=["labels"],
)
def relevant(stage: DatasetStage) -> None:
    data = _loaded(stage)
    query = data.query.labels.astype(bool)
    for name, part in (("database", data.database), ("train", data.train)):
        columns = part.labels.any(axis=0)
        lost = int((~(query & columns).any(axis=1)).sum())
        require(
            2 * lost <= len(query),
            f"{lost} of {len(query)} queries share no label with any {name} image: are the columns "
            "of the splits in the same order?",
        )


@check("pixels", "pixels are uint8 of 0 to 255", needs=["loads"])
def pixels(stage: DatasetStage) -> None:
    _loaded(stage)
    for name, part in stage.splits:
        found = np.asarray(part.images[: min(_LOOKED_AT, len(part))])
        require(found.dtype == np.uint8, f"the {name} images are {found.dtype}, expected uint8")
        require(
            int(found.max(initial=0)) > 1,
            f"the {name} pixels are 0 and 1 alone: pixels in [0, 1] have to be multiplied by 255 "
            "and rounded",
        )


@check(
    "read-by-parts",
    "a slice and an array of positions give the same images, in their order",
    needs=["pixels"],
)
def read_by_parts(stage: DatasetStage) -> None:
    _loaded(stage)
    for name, part in stage.splits:
        count = min(len(part), 7)
        whole = np.asarray(part.images[:count])
        order = np.arange(count)[::-1].copy()
        turned = np.asarray(part.images[order])
        require(
            whole.shape == (count, *part.images.shape[1:]), f"{name}: a slice has another shape"
        )
        require(
            bool(np.array_equal(whole[order], turned)),
            f"the {name} images are others when they are asked for by an array of positions",
        )


@check("same-again", "loaded again, images, labels and digests are the same", needs=["loads"])
def same_again(stage: DatasetStage) -> None:
    _loaded(stage)
    if stage.difference:  # its seed may be why: once more under the first one
        found = stage.differs(stage.load())
        require(not found, f"loaded again, {found}")


@check(
    "leaves-global-rng-alone",
    "nothing depends on a process-wide random generator",
    needs=["same-again"],
)
def leaves_global_rng_alone(stage: DatasetStage) -> None:
    _loaded(stage)
    require(
        not stage.difference,
        f"under another seed of the process {stage.difference}: take numpy.random.default_rng(0)",
    )


def _pixels(part: ImageSet) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(part), _PART):
        digest.update(np.ascontiguousarray(part.images[start : start + _PART]).data)
    return digest.hexdigest()


@check("disjoint", "no query image is in the database or in the train set", needs=["pixels"])
def disjoint(stage: DatasetStage) -> None:
    data = _loaded(stage)
    queries = _contents(data.query)
    for name, part in (("database", data.database), ("train", data.train)):
        both = queries & _contents(part)
        require(
            not both,
            f"{len(both)} query images are in the {name} split too, pixel by pixel: they would be "
            "found without any hashing",
        )


def _contents(part: ImageSet) -> set[bytes]:
    return {
        hashlib.sha256(np.ascontiguousarray(image).data).digest()
        for start in range(0, len(part), _PART)
        for image in part.images[start : start + _PART]
    }


@check(
    "sizes",
    "every split has two images or more, and the database as many as there are queries",
    needs=["loads"],
)
def sizes(stage: DatasetStage) -> None:
    data = _loaded(stage)
    for name, part in stage.splits:
        require(len(part) >= 2, f"the {name} split has {len(part)} image: nothing can be ranked")
    require(
        len(data.query) <= len(data.database),
        f"there are {len(data.query)} queries for a database of {len(data.database)}: are the two "
        "swapped?",
    )


@check(
    "list-length",
    "the ranked list is None or a whole number from 1 on",
    needs=["loads"],
    method="list_length",
)
def list_length(stage: DatasetStage) -> None:
    found = stage.plugin.list_length()
    whole = isinstance(found, int) and not isinstance(found, bool) and found >= 1
    require(found is None or whole, f"list_length() returns {found!r}")


@check("eps", "its radius is an Eps above 0", method="eps")
def eps(stage: DatasetStage) -> None:
    found: object = type(stage.plugin).eps
    require(
        isinstance(found, Eps),
        f"eps is {found!r}: write eps: ClassVar[Eps] = Eps.parse('8/255')",
    )
    assert isinstance(found, Eps)
    require(float(found) > 0, f"eps is {found}: attacks could do nothing")


@check("protocol-name", "protocols call it by a text that never changes", method="protocol_name")
def protocol_name(stage: DatasetStage) -> None:
    found = stage.plugin.protocol_name()
    require(
        isinstance(found, str) and bool(found.strip()),
        f"protocol_name() returns {found!r}, expected a text",
    )
    require(found == stage.plugin.protocol_name(), "protocol_name() returns another text each time")
    require(found.isprintable(), f"protocol_name() returns {found!r}, which cannot be printed")


@check(
    "protocol",
    "its protocol card can be drawn up, the same again",
    needs=["leaves-global-rng-alone", "list-length", "protocol-name"],
)
def protocol(stage: DatasetStage) -> None:
    def hash_of(data: RetrievalData) -> str:
        name, length = stage.plugin.protocol_name(), stage.plugin.list_length()
        return protocol_of(name, length, data).hash

    require(hash_of(_loaded(stage)) == hash_of(stage.again), "its protocol has another hash again")


@check(
    "widened",
    "widened() has the same splits, images and protocol",
    needs=["same-again", "protocol-name"],
    method="widened",
)
def widened(stage: DatasetStage) -> None:
    wide = stage.plugin.widened()
    require(isinstance(wide, Dataset), f"widened() returned {came(wide)}, not a Dataset")
    skip_unless(wide != stage.plugin, "nothing wider")
    require(
        wide.protocol_name() == stage.plugin.protocol_name(), "widened() has another protocol name"
    )
    _loaded(stage)
    found = stage.differs(DatasetStage(wide, stage.root).load())
    require(not found, f"widened, {found}")


@check(
    "prepares",
    "prepare() may be called again, and tells how far it is",
    needs=["loads"],
    method="prepare",
)
def prepares(stage: DatasetStage) -> None:
    _loaded(stage)
    told: list[tuple[int, int]] = []
    with own_random_state():
        where = stage.plugin.home(stage.root)
        stage.plugin.prepare(where, lambda done, total: told.append((done, total)))
    wrong = [one for one in told if not 0 <= one[0] <= one[1]]
    require(not wrong, f"prepare() tells {wrong[0] if wrong else ''} as (done, total)")


DATASETS: tuple[Check[DatasetStage], ...] = (
    home,
    loads,
    empty_folder,
    classes,
    labels,
    relevant,
    pixels,
    read_by_parts,
    sizes,
    same_again,
    leaves_global_rng_alone,
    disjoint,
    list_length,
    eps,
    protocol_name,
    protocol,
    widened,
    prepares,
)
