"""Batches come to a GPU as they would on the CPU; losses are read late, and a bad one is placed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.data.images import Pixels
from hashbench.errors import MemoryRanOutError, TrainingError
from hashbench.hashing import Batch, HashModel, Objective, Recipe, train
from hashbench.hashing import loss_record as record_file
from hashbench.hashing.augment import Augment, augmented
from hashbench.hashing.feed import RESIDENT_SHARE, Feed, resident
from hashbench.hashing.loss_record import READ_EVERY, LossRecord, NotFiniteError
from hashbench.hashing.trainer import random_orders
from support.fake_device import fake_cuda, pretend_cuda

Build = Callable[..., HashModel]
COUNT = 23
CPU = torch.device("cpu")


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(4).integers(0, 256, (COUNT, 3, 4, 4), dtype=np.uint8)


@pytest.fixture
def labels() -> NDArray[np.uint8]:
    return np.eye(3, dtype=np.uint8)[np.arange(COUNT) % 3]


class Stream:
    """A stream of a GPU that is none: notes who waits for whom."""

    def __init__(self, *_: object) -> None:
        self.waited: list[Stream] = []

    def wait_stream(self, other: Stream) -> None:
        self.waited.append(other)


@contextmanager
def card(patch: pytest.MonkeyPatch, free: int) -> Iterator[list[Stream]]:
    """A device that says it is a GPU with so many bytes free."""
    pretend_cuda(patch)
    streams: list[Stream] = []
    computing = Stream()

    @contextmanager
    def within(stream: Stream) -> Iterator[None]:
        streams.append(stream)
        yield

    patch.setattr(torch.cuda, "mem_get_info", lambda _: (free, free))
    patch.setattr(torch.cuda, "Stream", Stream)
    patch.setattr(torch.cuda, "stream", within)
    patch.setattr(torch.cuda, "current_stream", lambda _: computing)
    patch.setattr(Tensor, "record_stream", lambda *_: None)
    with fake_cuda():
        yield streams


def batches_of(pixels: Pixels, labels: NDArray[np.uint8], device: str, size: int) -> list[Batch]:
    feed = Feed(pixels, labels, torch.device(device))
    return [
        Batch(batch.images.cpu(), batch.labels.cpu(), batch.index.cpu())
        for order in random_orders(COUNT, 2, seed=5)
        for batch in feed.epoch(order, size)
    ]


@pytest.mark.parametrize("size", [1, 4, 11, 23, 100])
@pytest.mark.parametrize("augment", list(Augment))
@pytest.mark.parametrize("fits", [True, False])
def test_batches_are_the_same_wherever_they_lie(
    size: int,
    augment: Augment,
    fits: bool,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = batches_of(augmented(pixels, None, augment, seed=2), labels, "cpu", size)
    free = pixels.nbytes * 100 if fits else pixels.nbytes
    with card(monkeypatch, free) as streams:
        found = batches_of(augmented(pixels, None, augment, seed=2), labels, "cuda", size)
    # Views that are drawn as they are read are never laid down once for all.
    assert bool(streams) == (not fits or augment is not Augment.NONE)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.index, other.index)


def test_a_train_set_is_laid_on_a_gpu_up_to_a_share_of_what_is_free(
    pixels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    enough = int(pixels.nbytes / RESIDENT_SHARE)
    for free, there in ((enough, True), (enough - 4, False)):
        with card(monkeypatch, free):
            found = resident(pixels, torch.device("cuda"))
            assert (found is not None) == there
            if found is not None:
                assert torch.equal(found.cpu(), torch.from_numpy(pixels))
    assert resident(pixels, CPU) is None


def test_losses_are_those_that_were_added_however_often_they_are_read() -> None:
    wanted = torch.rand(3 * READ_EVERY + 5, generator=torch.Generator().manual_seed(0))
    record = LossRecord([0.5], CPU)
    for place, loss in enumerate(wanted):
        assert record.steps == place + 1
        record.add(loss.reshape(1) if place % 2 else loss)
        if place == 70:
            assert record.losses() == [0.5, *wanted[:71].tolist()]
    assert record.losses() == [0.5, *wanted.tolist()]
    assert record.losses() == [0.5, *wanted.tolist()]


@pytest.mark.parametrize("step", [1, 2, READ_EVERY - 1, READ_EVERY, READ_EVERY + 1, 100])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_the_first_bad_loss_is_the_one_that_is_told(step: int, value: float) -> None:
    record = LossRecord([], CPU)

    def add_all() -> None:
        for place in range(1, 101):
            record.add(torch.tensor(value if place >= step else 1.0))
        record.losses()

    with pytest.raises(NotFiniteError) as raised:
        add_all()
    assert raised.value.step == step
    assert str(raised.value.value) == str(value)


class Breaking(Objective):
    """Becomes NaN at one step, and falls over the NaN some steps later if it is let."""

    def __init__(self, model: HashModel, step: int, falls: int = 0) -> None:
        self.model = model
        self.step = step
        self.falls = falls
        self.count = 0
        self.states: list[dict[str, Tensor]] = []

    def loss(self, batch: Batch) -> Tensor:
        self.states.append({k: v.clone() for k, v in self.model.state_dict().items()})
        self.count += 1
        if self.falls and self.count == self.step + self.falls:
            raise ValueError("a matrix of NaN")
        factor = float("nan") if self.count == self.step else 1.0
        return factor * self.model.outputs(batch.images).square().mean()


@pytest.mark.parametrize(
    ("step", "after", "when"),
    [(2, 0, "before the training"), (5, 3, "after epoch 1"), (9, 6, "after epoch 2")],
)
@pytest.mark.parametrize("falls", [0, 1])
def test_the_model_is_put_back_to_the_end_of_the_last_epoch(
    step: int,
    after: int,
    when: str,
    falls: int,
    small_model: Build,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> None:
    model = small_model()
    objective = Breaking(model, step, falls)
    orders = random_orders(COUNT, 4, seed=0)
    with pytest.raises(TrainingError) as raised:
        train(model, objective, Recipe(4, batch=8), pixels, labels, orders)
    assert str(raised.value) == (
        f"the training loss became nan in step {step} of 12 (learning rate 0.01): try a smaller "
        f"one; the training has stopped at the model's last good state, {when}"
    )
    wanted = objective.states[after]
    for name, value in model.state_dict().items():
        assert torch.equal(value, wanted[name]), name


def test_an_epoch_that_ended_in_broken_weights_is_no_good_state(
    small_model: Build, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    """The last loss of an epoch may be finite, and its gradient not."""
    model = small_model()
    states: list[dict[str, Tensor]] = []

    class Steep(Objective):
        def loss(self, batch: Batch) -> Tensor:
            states.append({k: v.clone() for k, v in model.state_dict().items()})
            outputs = model.outputs(batch.images)
            if len(states) == 6:  # a root at 0: its value is 0, its slope is not
                return (outputs.sum() * 0).abs().sqrt()
            return outputs.square().mean()

    orders = random_orders(COUNT, 4, seed=0)
    with pytest.raises(TrainingError, match=r"in step 7 of 12 .* state, after epoch 1"):
        train(model, Steep(), Recipe(4, batch=8), pixels, labels, orders)
    for name, value in model.state_dict().items():
        assert torch.equal(value, states[3][name]), name


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("full"), MemoryError()])
def test_a_batch_that_does_not_fit_is_said_with_what_to_do(
    error: Exception, small_model: Build, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    class Large(Objective):
        def loss(self, batch: Batch) -> Tensor:  # noqa: ARG002
            raise error

    with pytest.raises(MemoryRanOutError, match=r"step 1 of 6 .*batches of 8 .*training\.batch"):
        train(
            small_model(), Large(), Recipe(2, batch=8), pixels, labels, random_orders(COUNT, 2, 0)
        )


def test_losses_are_read_every_so_many_steps(
    small_model: Build,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A NaN ends the training at the next reading, not at the end of its epoch."""
    monkeypatch.setattr(record_file, "READ_EVERY", 4)
    model = small_model()
    objective = Breaking(model, 6)
    with pytest.raises(TrainingError, match="step 6 of 23"):
        train(model, objective, Recipe(1, batch=1), pixels, labels, random_orders(COUNT, 1, 0))
    assert objective.count == 8
