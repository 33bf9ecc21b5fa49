"""The kernel for GPUs: interpreted, its counts are numpy's; compiled, it is what it claims to be.

Triton reads the switch for its interpreter when it is imported, so that the kernel runs in
processes of their own; the compiler makes machine code for cards that are not there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashbench.retrieval import Kernel, Scorer, Shard
from hashbench.retrieval import scorer as scorer_module
from hashbench.retrieval.database import PackedDatabase, open_shards
from hashbench.retrieval.packing import labels_to_bytes, pack_codes
from hashbench.retrieval.queries import group_queries

torch = pytest.importorskip("torch")
pytest.importorskip("triton", reason="this build of torch has no Triton")

COUNT = """
import json, sys
import numpy as np, torch
from hashbench.retrieval import Scorer, Shard, fused, pack_codes
from hashbench.retrieval.packing import labels_to_bytes
from hashbench.retrieval.queries import group_queries

fused._BLOCK_ITEMS, fused._PROGRAM_ITEMS = 64, 128  # many programs of many steps
different = []
for bits, items, classes, queries in json.loads(sys.argv[1]):
    rng = np.random.default_rng([bits, items, classes])
    codes = rng.choice(np.array([-1, 1], np.int8), (queries + items, bits))
    labels = (rng.random((queries + items, classes)) < min(0.5, 2 / classes)).astype(np.int64)
    codes[-1] = -codes[0]  # distance K is met
    asked, given = slice(queries), slice(queries, None)
    distance = (codes[asked, None] != codes[None, given]).sum(axis=2)
    relevant = labels[asked] @ labels[given].T > 0
    packed = pack_codes(codes), labels_to_bytes(labels, "labels", classes)
    grouped = group_queries(packed[0][asked], packed[1][asked], bits)
    edges = [queries, queries + items // 3, queries + items]
    parts = [tuple(rows[a:b] for rows in packed) for a, b in zip(edges, edges[1:]) if b > a]
    tally = fused.count_pairs(grouped, iter(parts), torch.device("cpu"))
    wanted = [
        np.array([np.bincount(row[chosen], minlength=bits + 1) for row, chosen in pairs])
        for pairs in (zip(distance, relevant | True), zip(distance, relevant))
    ]
    if not all(map(np.array_equal, (tally.total, tally.relevant), wanted)):
        different.append([bits, items, classes, queries])
print(json.dumps(different))
"""

COMPILE = """
import json, sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from hashbench.retrieval import fused

found = []
for capability, bits, classes in json.loads(sys.argv[1]):
    words, label_words = -(-bits // 32), -(-classes // 32)
    constants = fused.constants(words, label_words, bits)
    pointers = dict.fromkeys(("codes", "labels", "asked", "asked_labels"), "*i32")
    signature = {**pointers, "out": "*i64", "items": "i32", **dict.fromkeys(constants, "constexpr")}
    source = ASTSource(fn=fused._count, signature=signature, constexprs=constants)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    found.append(made.asm["ptx"].count("popc.b32") >= words and len(made.asm["cubin"]) > 0)
print(json.dumps(found))
"""


def answer(script: str, question: Any, folder: Path, **environment: str) -> Any:
    """What a script prints about a question, in a process with its own cache of kernels."""
    run = subprocess.run(
        [sys.executable, "-P", "-c", script, json.dumps(question)],
        env={**os.environ, "TRITON_CACHE_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def interpreted(cases: list[tuple[int, int, int, int]], folder: Path) -> Any:
    return answer(COUNT, cases, folder, TRITON_INTERPRET="1")


def test_every_number_of_words(tmp_path: Path) -> None:
    """The first and the last length of codes of 1 to 16 words, and lengths inside."""
    lengths = {bits for words in range(16) for bits in (32 * words + 1, 32 * words + 32)}
    inside = {2, 7, 8, 9, 15, 16, 30, 31, 63, 127, 255, 500, 511}
    cases = [(bits, 75, 5, 3) for bits in sorted(lengths | inside)]
    assert interpreted(cases, tmp_path) == []


def test_every_rest_of_items(tmp_path: Path) -> None:
    """One item, blocks and programs that are full, and one item more or less."""
    sizes = (1, 2, 31, 63, 64, 65, 127, 128, 129, 257, 389)
    assert interpreted([(32, items, 4, 2) for items in sizes], tmp_path) == []


def test_many_labels_and_queries(tmp_path: Path) -> None:
    cases = [(16, 70, classes, 3) for classes in (1, 31, 32, 33, 64, 65, 80, 291, 1999, 2000)]
    assert interpreted([*cases, (24, 3, 5, 61)], tmp_path) == []


def test_it_compiles_for_cards_with_one_instruction_per_word(tmp_path: Path) -> None:
    """No card is needed: what is made for three generations holds the popcount instruction."""
    cases = [(75, 32, 21), (80, 64, 80), (80, 512, 2000), (90, 1, 1), (90, 64, 21)]
    assert answer(COMPILE, cases, tmp_path, TRITON_INTERPRET="0") == [True] * len(cases)


@pytest.fixture
def problem(make_problem: Callable[..., Any]) -> Any:
    return make_problem(np.random.default_rng(3), queries=6, items=300, bits=33)


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with nothing tried yet and nothing said."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    module = pytest.importorskip("hashbench.retrieval.fused")
    module.trouble_with.cache_clear()
    module._note.cache_clear()
    yield module
    module.trouble_with.cache_clear()
    module._note.cache_clear()


def packed(problem: Any) -> PackedDatabase:
    shard = Shard(problem.database_codes, problem.database_labels)
    return PackedDatabase(open_shards(shard, 33, 4), 33, 4)


def grouped(problem: Any) -> Any:
    labels = labels_to_bytes(problem.query_labels, "labels", 4)
    return group_queries(pack_codes(problem.query_codes), labels, 33)


def test_a_machine_that_cannot_run_it_says_so_once_and_counts_plainly(
    problem: Any, fused: Any
) -> None:
    """There is no driver for a CPU: a real failure of Triton's, not one that was made up."""
    from hashbench.retrieval.tensors import TensorDatabase

    database = fused.FusedDatabase(TensorDatabase(packed(problem), torch.device("cpu")))
    with pytest.warns(RuntimeWarning, match="fused kernel is not used, since it does not") as told:
        tallies = [database.tally(grouped(problem)) for _ in range(2)]
    assert len(told) == 1
    assert "\n" not in str(told[0].message)
    wanted = packed(problem).tally(grouped(problem))
    for tally in tallies:
        np.testing.assert_array_equal(tally.total, wanted.total)
        np.testing.assert_array_equal(tally.relevant, wanted.relevant)
    assert next(database.stable_hits(grouped(problem), wanted, 5)).rank.size <= 5


def test_counts_that_differ_are_not_used(fused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The witness is numpy: one pair too many in one place is enough."""
    device = torch.device("cpu")

    def counted(queries: Any, parts: Any, _device: Any) -> Any:
        total = np.zeros((queries.count, queries.bits + 1), dtype=np.int64)
        keys = np.zeros((queries.count, 2 * (queries.bits + 1)), dtype=np.int64)
        for codes, labels in parts:
            fused.count_keys(queries, codes, labels, keys)
        relevant = keys[:, queries.bits + 1 :]
        total += keys[:, : queries.bits + 1] + relevant
        total[0, 0] += wrong
        return fused.Tally(total, relevant)

    monkeypatch.setattr(fused, "count_pairs", counted)
    wrong = 0
    assert fused.trouble_with(device, 33, 4) == ""
    wrong = 1
    assert fused.trouble_with(device, 34, 4) == "its counts differ from numpy's"


def test_memory_that_runs_out_is_no_reason_to_fall_back(
    fused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(fused, "count_pairs", full)
    with pytest.raises(torch.OutOfMemoryError):
        fused.trouble_with(torch.device("cpu"), 8, 2)


def test_who_counts_on_which_device(problem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def name(device: str) -> str:
        return type(scorer_module._on_device(packed(problem), device)).__name__

    assert [name("cpu"), name("cuda"), name("cuda:1")] == ["TensorDatabase", *["FusedDatabase"] * 2]
    monkeypatch.setattr(scorer_module, "find_spec", lambda _name: None)
    assert name("cuda") == "TensorDatabase"


def test_a_gpu_gives_the_cpus_counts(problem: Any) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    shard = Shard(problem.database_codes, problem.database_labels)
    asked = (problem.query_codes, problem.query_labels, shard)
    wanted = Scorer(*asked, kernel=Kernel.NUMPY).tally
    found = Scorer(*asked, device="cuda").tally
    np.testing.assert_array_equal(found.total, wanted.total)
    np.testing.assert_array_equal(found.relevant, wanted.relevant)
