"""Philox4x64-10: the paper's known answers, and one witness in Python's whole numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hashbench.hashing import device_words
from hashbench.hashing.device_words import Way, agrees, way_of, words
from hashbench.hashing.philox import (
    Place,
    high_product,
    signed,
    words_by_numpy,
    words_in_tensors,
)

WAYS = [words_by_numpy, words_in_tensors]

ALL = 2**64 - 1
WORD = st.integers(0, ALL) | st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**63 - 1, 2**63, ALL])

PI = (
    [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89],
    [0x452821E638D01377, 0xBE5466CF34E90C6C],
)
"""The counter and the key of the third known answer: digits of pi."""


def witness(counter: list[int], key: list[int]) -> list[int]:
    """One block, as the paper writes it (section 4.3), with whole numbers of any size."""
    first, second, third, fourth = counter
    one, two = key
    for _ in range(10):
        near, far = first * 0xD2E7470EE14C6C93, third * 0xCA5A826395121157
        first, second = (far >> 64) ^ second ^ one, far & ALL
        third, fourth = (near >> 64) ^ fourth ^ two, near & ALL
        one, two = one + 0x9E3779B97F4A7C15 & ALL, two + 0xBB67AE8584CAA73B & ALL
    return [first, second, third, fourth]


def keys_of(*keys: int) -> Tensor:
    return torch.tensor([signed(key) for key in keys], dtype=torch.int64)


def unsigned(found: Tensor) -> list[int]:
    return [value & ALL for value in found.flatten().tolist()]


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        (
            [0, 0, 0, 0],
            [0, 0],
            [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B],
        ),
        (
            [ALL] * 4,
            [ALL] * 2,
            [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0],
        ),
        (
            *PI,
            [0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6],
        ),
    ],
)
def test_the_witness_gives_the_known_answers_of_random123(
    counter: list[int], key: list[int], answer: list[int]
) -> None:
    # `philox4x64 10` of the authors' kat_vectors.
    assert witness(counter, key) == answer


@pytest.mark.parametrize("way", WAYS)
def test_the_first_known_answer_is_the_beginning_of_the_stream_of_key_0(way: Way) -> None:
    assert unsigned(way(keys_of(0), Place(0), 4)) == witness([0] * 4, [0, 0])


@settings(deadline=None, max_examples=60)
@given(
    keys=st.lists(WORD, min_size=1, max_size=4),
    call=WORD,
    block=st.integers(0, 2**40),
    count=st.integers(0, 13),
)
def test_every_word_is_the_witness_of_key_call_and_place(
    keys: list[int], call: int, block: int, count: int
) -> None:
    expected = [
        [witness([block + word // 4, call, 0, 0], [key, 0])[word % 4] for word in range(count)]
        for key in keys
    ]
    for way in WAYS:
        found = way(keys_of(*keys), Place(call, 4 * block), count)
        assert found.shape == (len(keys), count)
        assert found.dtype == torch.int64
        assert unsigned(found) == [word for row in expected for word in row]


@settings(deadline=None)
@given(values=st.lists(WORD, min_size=1, max_size=5), factor=WORD)
def test_the_upper_half_of_a_product_is_exact(values: list[int], factor: int) -> None:
    expected = [value * factor >> 64 for value in values]
    assert unsigned(high_product(keys_of(*values), factor)) == expected
    assert unsigned(high_product(keys_of(*values), keys_of(factor))) == expected


def test_no_key_gives_no_rows() -> None:
    for way in WAYS:
        assert way(keys_of(), Place(3), 5).shape == (0, 5)


def test_a_gpu_makes_the_words_of_the_cpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU here: the words of tensors are compared on the CPU alone")
    keys = keys_of(0, 1, 2**63, ALL, 7)
    for place in (Place(0), Place(ALL, 400), Place(2, 2**34)):
        made = words(keys.cuda(), place, 1001)
        assert made.is_cuda
        assert torch.equal(made.cpu(), words(keys, place, 1001))


INTERPRETED = """
import torch
from hashbench.hashing import device_words
from hashbench.hashing.device_words import agrees
from hashbench.hashing.philox import Place
from hashbench.hashing.philox_kernel import words_by_kernel
assert agrees(words_by_kernel, torch.device("cpu"))
assert words_by_kernel(torch.tensor([1, 2]), Place(0), 0).shape == (2, 0)
"""


@pytest.mark.slow
def test_the_kernel_makes_the_words_of_numpy() -> None:
    # Triton's interpreter runs a kernel's steps in numpy; it is chosen before Triton is imported.
    pytest.importorskip("triton", reason="Triton comes with torch's builds for GPUs alone")
    done = subprocess.run(
        [sys.executable, "-P", "-c", INTERPRETED],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


CPU, CARD = torch.device("cpu"), torch.device("cuda:0")


def test_a_way_that_errs_is_found() -> None:
    assert agrees(words_in_tensors, CPU)
    assert not agrees(lambda keys, place, count: words_by_numpy(keys, place, count) ^ 1, CPU)
    assert not agrees(lambda keys, place, count: words_by_numpy(keys & 1, place, count), CPU)


def broken(*_: object) -> Tensor:
    raise RuntimeError("no compiler\nfor this card")


def wrong(keys: Tensor, place: Place, count: int) -> Tensor:
    return words_by_numpy(keys, place, count) ^ 1


def full(*_: object) -> Tensor:
    raise torch.OutOfMemoryError


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[[Way | None], None]:
    """Puts another kernel in the place of ours, or a file with none, on what says it is a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device_words, "find_spec", lambda name: name == "triton")
    # What the tensors are sent to: there is no driver here.
    agree = device_words.agrees
    monkeypatch.setattr(device_words, "agrees", lambda way, _: agree(way, CPU))

    def put(kernel: Way | None) -> None:
        module = ModuleType("philox_kernel")
        if kernel is not None:
            module.words_by_kernel = kernel  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "hashbench.hashing.philox_kernel", module)

    return put


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (broken, r"does not run here \(RuntimeError: no compiler\);"),
        (None, r"does not run here \(ImportError: .*words_by_kernel"),
        (wrong, "its words differ from numpy's"),
    ],
)
def test_a_kernel_that_is_of_no_use_is_told_and_a_gpu_takes_the_plain_operations(
    found: Way | None, told: str, kernel: Callable[[Way | None], None]
) -> None:
    kernel(found)
    with pytest.warns(RuntimeWarning, match=f"cuda:0: the kernel is not used, since .*{told}"):
        assert way_of.__wrapped__(CARD) is words_in_tensors
    assert way_of.__wrapped__(CPU) is words_by_numpy


def test_a_sound_kernel_is_used(kernel: Callable[[Way | None], None]) -> None:
    def sound(keys: Tensor, place: Place, count: int) -> Tensor:
        return words_in_tensors(keys, place, count)

    kernel(sound)
    assert way_of.__wrapped__(CARD) is sound


def test_where_there_is_no_triton_nothing_is_told(
    kernel: Callable[[Way | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel(broken)
    monkeypatch.setattr(device_words, "find_spec", lambda _: None)
    assert way_of.__wrapped__(CARD) is words_in_tensors


def test_memory_that_runs_out_says_nothing_of_the_kernel(
    kernel: Callable[[Way | None], None],
) -> None:
    kernel(full)
    with pytest.raises(torch.OutOfMemoryError):
        way_of.__wrapped__(CARD)
