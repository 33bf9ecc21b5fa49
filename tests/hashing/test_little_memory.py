"""Where memory runs out above so many images, the codes are those of a run in such blocks."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.attacking import Attacker, Eps, Known, Threat, run_attack
from hashbench.hashing import BackboneNet, HashModel, encode
from hashbench.hashing.encode import BlockEncoder, encode_splits, outputs_of
from hashbench.hashing.halving import in_halves
from hashbench.plugins import get

BITS = 5
ENCODE = "hashbench.hashing.encode.ENCODE_BATCH"
ERRORS: dict[str, Callable[[], Exception]] = {
    "cuda": lambda: torch.OutOfMemoryError("CUDA out of memory"),
    "host": MemoryError,
    "cpu": lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory"),
}


class Narrow(nn.Module):
    """Has room for so many images; gives for one what depends on those with it, and on draws."""

    def __init__(self, room: int, error: str = "cuda") -> None:
        super().__init__()
        self.room = room
        self.error = error
        self.draws = True
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        noise = torch.rand(len(images), 1) if self.draws else torch.zeros(len(images), 1)
        if len(images) > self.room:
            raise ERRORS[self.error]()
        self.sizes.append(len(images))
        apart = images - images.detach().mean(dim=0) if self.draws else images - 0.5
        return apart.flatten(1) + 0.1 * noise


def narrow(room: int, error: str = "cuda") -> tuple[HashModel, Narrow]:
    net = Narrow(room, error)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return HashModel(BackboneNet(net, 12, (0.5,) * 3, (0.25,) * 3), BITS).eval(), net


def settled(size: int, room: int, count: int) -> int:
    while min(size, count) > room:
        size //= 2
    return size


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(4).integers(0, 256, (137, 3, 2, 2), dtype=np.uint8)


def blocks(model: HashModel, pixels: NDArray[np.uint8], part: int) -> NDArray[np.int8]:
    encoder = BlockEncoder(model, len(pixels))
    for start in range(0, len(pixels), part):
        encoder.add(torch.from_numpy(pixels[start : start + part]).float().div_(255))
    return encoder.encoded().codes


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(1, 80),
    room=st.integers(1, 80),
    count=st.integers(1, 137),
    part=st.integers(1, 90),
    error=st.sampled_from(sorted(ERRORS)),
)
def test_codes_are_those_of_a_run_that_starts_with_what_fits(
    size: int, room: int, count: int, part: int, error: str
) -> None:
    pixels = np.random.default_rng(4).integers(0, 256, (count, 3, 2, 2), dtype=np.uint8)
    fits = settled(size, room, count)
    found: list[NDArray[np.int8]] = []
    wanted: list[NDArray[np.int8]] = []
    for each, start, model in ((found, size, narrow(room, error)), (wanted, fits, narrow(1000))):
        with patch(ENCODE, start), torch.random.fork_rng():
            torch.manual_seed(7)
            each.append(encode(model[0], pixels).codes)
            each.append(outputs_of(model[0], pixels).numpy())
            each.append(blocks(model[0], pixels, part))
            each.append(torch.rand(3).numpy())  # and the next draws are the same
    for one, other in zip(found, wanted, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("room", [1, 2, 3, 7, 20, 60, 124, 137, 500])
def test_every_query_is_answered(room: int, images: NDArray[np.uint8]) -> None:
    """Encoded, and attacked: whatever fits, all queries have the codes of a wide device."""
    found = []
    for there in (room, 1000):
        model, net = narrow(there)
        net.draws = False
        rows = np.eye(3, dtype=np.uint8)[np.arange(len(images)) % 3]
        clean = encode(model, images).codes
        outcome = run_attack(
            get("attack", "pgd-hamming", steps=3),  # type: ignore[arg-type]
            model,
            images,
            Attacker(Known.of(rows, clean, clean, rows)),
            Threat(Eps.parse("16/255")),
            range(len(images)),
            batch=100,
        )
        assert max(net.sizes) <= there
        found.append((clean, outcome.codes, outcome.linf, outcome.l2))
    for one, other in zip(*found, strict=True):
        assert len(one) == len(images)
        assert np.array_equal(one, other)


def test_what_never_fits_is_an_error() -> None:
    asked: list[int] = []

    def make(size: int) -> None:
        asked.append(size)
        raise MemoryError

    with pytest.raises(MemoryError):
        in_halves(9, make)
    assert asked == [9, 4, 2, 1]


def test_another_error_is_not_taken_for_missing_memory() -> None:
    def make(_: int) -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        in_halves(9, make)


def test_a_gpu_gives_its_unused_memory_back_before_the_next_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: done.append("emptied"))
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda _: torch.zeros(1))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda *_: done.append("rewound"))

    def make(size: int) -> int:
        done.append(f"tried {size}")
        if size > 2:
            raise torch.OutOfMemoryError
        return size

    assert in_halves(8, make) == 2
    again = ["rewound", "emptied"]
    assert done == ["tried 8", *again, "tried 4", *again, "tried 2"]


def test_splits_are_encoded_whatever_fits(images: NDArray[np.uint8]) -> None:
    class Part:
        def __init__(self, images: NDArray[np.uint8]) -> None:
            self.images = images

    class Data:
        train, query, database = Part(images), Part(images[:5]), Part(images[5:])

    found = encode_splits(narrow(9)[0], Data())  # type: ignore[arg-type]
    assert {name: len(found[name]) for name in ("train", "query", "database")} == {
        "train": 137,
        "query": 5,
        "database": 132,
    }
