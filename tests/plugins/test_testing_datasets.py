"""The conformance kit on data sets: a wrong one fails just the check of its broken rule."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from hashbench import UsageError
from hashbench.data import ImageSet, RetrievalData
from hashbench.plugins import Dataset, dataset
from hashbench.progress import Progress
from hashbench.testing import DATASET_CHECKS, check_dataset
from hashbench.testing.identity import IDENTITY

COUNT = itertools.count()


def names(outcomes: Iterable[Any]) -> list[str]:
    return [outcome.check for outcome in outcomes]


def part(seed: int, count: int) -> ImageSet:
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (count, 3, 8, 8)).astype(np.uint8)
    return ImageSet(images, np.eye(4, dtype=np.uint8)[np.arange(count) % 4])


def good() -> RetrievalData:
    return RetrievalData(("a", "b", "c", "d"), part(0, 12), part(1, 8), part(2, 20))


@dataset("sound")
@dataclass(frozen=True)
class Sound(Dataset):
    """Keeps every rule."""

    def load(self, root: Path | None) -> RetrievalData:  # noqa: ARG002
        return good()


@dataset("sound-folder")
@dataclass(frozen=True)
class SoundFolder(Dataset):
    """Keeps every rule, from a folder."""

    needs_root: ClassVar[bool] = True

    def load(self, root: Path | None) -> RetrievalData:
        assert root is not None
        if not (root / "here").exists():
            raise UsageError(f"{root}: no file 'here' in it")
        return good()

    def widened(self) -> Dataset:
        return Wider()


@dataset("wider")
@dataclass(frozen=True)
class Wider(SoundFolder):
    """The same."""

    def protocol_name(self) -> str:
        return "sound-folder"


def loads(name: str, load: Callable[[], Any]) -> type[Dataset]:
    @dataset(name)
    @dataclass(frozen=True)
    class Changed(Dataset):
        """Breaks one rule."""

        def load(self, root: Path | None) -> Any:  # noqa: ARG002
            return load()

        def __reduce__(self) -> Any:
            return by_name, (name,)

    return Changed


def answers(name: str, method: str, answer: Any) -> type[Dataset]:
    found = loads(name, good)
    setattr(found, method, answer)
    return found


def by_name(name: str) -> Any:
    """For copies."""
    return next(wrong for wrong in WRONG if wrong.card.name == name)()


def with_query(**changes: Any) -> RetrievalData:
    data = good()
    return replace(data, query=replace(data.query, **changes))


class Backwards:
    """Pixels whose positions are taken in order."""

    def __init__(self, images: Any) -> None:
        self.images = images
        self.shape, self.dtype = images.shape, images.dtype

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> Any:
        return self.images[index if isinstance(index, slice) else np.sort(index)]


def _moving() -> RetrievalData:
    return with_query(images=part(100 + next(COUNT), 8).images)


def _by_global() -> RetrievalData:
    draw = np.random.randint(0, 256, (8, 3, 8, 8))  # noqa: NPY002 - the process-wide one
    return with_query(images=draw.astype(np.uint8))


def _in_database() -> RetrievalData:
    data = good()
    images = data.database.images[:].copy()
    images[3] = data.query.images[3:4][0]
    return replace(data, database=replace(data.database, images=images))


def _other_columns() -> RetrievalData:
    labels = np.zeros((8, 4), np.uint8)
    labels[:, 3] = 1
    rest = good()
    database = replace(rest.database, labels=np.eye(4, dtype=np.uint8)[np.arange(20) % 3])
    return replace(rest, query=replace(rest.query, labels=labels), database=database)


@dataset("empty-folder")
@dataclass(frozen=True)
class Careless(SoundFolder):
    """Breaks one rule."""

    def load(self, root: Path | None) -> RetrievalData:
        assert root is not None
        (root / "here").read_text()
        return good()

    def widened(self) -> Dataset:
        return self


@dataset("home")
@dataclass(frozen=True)
class NeverAsks(SoundFolder):
    """Breaks one rule."""

    def home(self, root: Path | None) -> Path | None:
        return root

    def widened(self) -> Dataset:
        return self


def _tells_wrongly(self: Any, root: Path | None, progress: Progress) -> None:  # noqa: ARG001
    progress(3, 2)


def _unwritable(_: Any) -> str:
    return f"mine {next(COUNT)}"


WRONG: tuple[type[Dataset], ...] = (
    NeverAsks,
    loads("loads", lambda: (1, 2, 3)),
    Careless,
    loads("classes", lambda: replace(good(), classes=("a", "a", "b", "c"))),
    loads("labels", lambda: with_query(labels=np.ones((8, 4), np.uint8))),
    loads("relevant", _other_columns),
    loads("pixels", lambda: with_query(images=part(1, 8).images[:] // 129)),
    loads("read-by-parts", lambda: with_query(images=Backwards(part(1, 8).images))),
    loads("sizes", lambda: replace(good(), query=part(1, 40))),
    loads("same-again", _moving),
    loads("leaves-global-rng-alone", _by_global),
    loads("disjoint", _in_database),
    answers("list-length", "list_length", lambda _: 0),
    answers("eps", "eps", "8/255"),
    answers("protocol-name", "protocol_name", _unwritable),
    answers("widened", "widened", lambda _: None),
    answers("prepares", "prepare", _tells_wrongly),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").write_text("")
    return tmp_path


def test_a_sound_data_set_passes(folder: Path) -> None:
    for report in (check_dataset(Sound), check_dataset(SoundFolder, root=folder)):
        report.raise_failures()
        assert len(report.passed) >= 20


@pytest.mark.parametrize(
    ("made", "times", "failed"),
    [
        (good, 2, set()),
        # Once more, to tell the two rules apart.
        (_moving, 3, {"same-again"}),
        (_by_global, 3, {"leaves-global-rng-alone"}),
    ],
)
def test_a_sound_data_set_is_loaded_twice(
    made: Callable[[], RetrievalData], times: int, failed: set[str]
) -> None:
    given: list[RetrievalData] = []

    def load() -> RetrievalData:
        given.append(made())
        return given[-1]

    report = check_dataset(loads("counted", load))
    assert set(names(report.failed)) - {"copyable", "round-trip"} == failed
    assert len(given) == times


def test_without_its_folder_what_can_be_is_tried() -> None:
    report = check_dataset(SoundFolder)
    report.raise_failures()
    assert "empty-folder" in names(report.passed)
    assert "it is read from a folder, and none was named" in [o.sentence for o in report.skipped]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda plugin: plugin.card.name)
def test_a_wrong_data_set_fails_just_its_check(wrong: type[Dataset], folder: Path) -> None:
    report = check_dataset(wrong, root=folder)
    assert names(report.failed) == [wrong.card.name], report.failed
    assert all("test_testing_datasets.py:" in one.place for one in report.failed), report.failed


def test_every_check_has_its_wrong_data_set() -> None:
    """But `protocol`, which says what the others come to together."""
    checks = {one.name for one in DATASET_CHECKS} - {one.name for one in IDENTITY}
    assert {wrong.card.name for wrong in WRONG} == checks - {"protocol"}
