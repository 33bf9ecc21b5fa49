"""Part by part: each query once, in order, in the largest half of the size that fits."""

from __future__ import annotations

import gc
import weakref
from itertools import chain, product

import pytest
import torch

from hashbench.attacking.halving import part_by_part
from hashbench.hashing.halving import out_of_memory


class Device:
    """Has room for so many of the queries, and says what it was asked for."""

    def __init__(
        self, room: int, count: int = 100, error: type[Exception] = torch.OutOfMemoryError
    ) -> None:
        self.room = room
        self.count = count
        self.error = error
        self.asked: list[tuple[int, int]] = []

    def make(self, part: slice) -> list[int]:
        queries = list(range(self.count))[part]
        self.asked.append((part.start, part.stop))
        if len(queries) > self.room:
            raise self.error("the device is full")
        return queries


def test_every_query_is_made_once_and_in_order_whatever_fits() -> None:
    for count, size, room in product(range(1, 12), range(1, 14), range(1, 14)):
        device, kept = Device(room, count), list[list[int]]()
        part_by_part(count, size, device.make, kept.append)
        assert list(chain(*kept)) == list(range(count))
        settled = size
        while min(settled, count) > room:
            settled //= 2
        assert len(kept[0]) == min(settled, count)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_the_same_part_is_tried_again_in_half_and_the_size_stays(error: type[Exception]) -> None:
    device = Device(3, error=error)
    part_by_part(100, 8, device.make, lambda _: None)
    assert device.asked[:4] == [(0, 8), (0, 4), (0, 2), (2, 4)]
    assert {stop - start for start, stop in device.asked[2:]} == {2}


def test_one_query_that_does_not_fit_is_an_error() -> None:
    device = Device(0)
    with pytest.raises(torch.OutOfMemoryError):
        part_by_part(100, 4, device.make, lambda _: None)
    assert device.asked == [(0, 4), (0, 2), (0, 1)]


def test_another_error_is_not_taken_for_missing_memory() -> None:
    device = Device(2, error=ArithmeticError)
    with pytest.raises(ArithmeticError):
        part_by_part(100, 4, device.make, lambda _: None)
    assert device.asked == [(0, 4)]


def test_an_error_of_who_keeps_it_is_no_reason_to_make_it_again() -> None:
    device = Device(8)

    def full(_: list[int]) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        part_by_part(100, 4, device.make, full)
    assert device.asked == [(0, 4)]


def test_what_was_made_is_let_go_before_the_next_part() -> None:
    class Made:
        pass

    alive: list[weakref.ref[Made]] = []

    def make(_: slice) -> Made:
        gc.collect()
        assert not any(one() for one in alive)
        made = Made()
        alive.append(weakref.ref(made))
        return made

    part_by_part(5, 2, make, lambda _: None)
    assert len(alive) == 3


def test_the_error_of_the_cpu_allocator_is_recognised() -> None:
    """Torch has no class of its own for it: the message is all there is."""
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert type(raised.value) is RuntimeError
    assert out_of_memory(raised.value)
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
