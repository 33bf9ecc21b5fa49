"""One scorer for all measures: queries against a database in one piece or in shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from hashbench.deprecated import former_argument
from hashbench.errors import UsageError
from hashbench.retrieval.checks import as_count, as_top_k, same_rows
from hashbench.retrieval.curves import (
    RECALL_LEVELS,
    PrecisionRecall,
    precision_of,
    stable_precision,
    wanted_hits,
)
from hashbench.retrieval.database import PackedDatabase, Shard, open_shards
from hashbench.retrieval.harmonic import Floats
from hashbench.retrieval.options import Kernel, Normalize, RecallRounding, Ties, choice
from hashbench.retrieval.packing import (
    code_matrix,
    codes_to_bytes,
    label_matrix,
    labels_to_bytes,
)
from hashbench.retrieval.queries import Queries, group_queries
from hashbench.retrieval.stable import Hits, precision_sums
from hashbench.retrieval.tally import Tally, average_precision_of, hits_inside, ratio


class Database(Protocol):
    """What a scorer asks of a database, wherever that lies."""

    def tally(self, queries: Queries) -> Tally:
        """Items per query and distance."""

    def stable_hits(self, queries: Queries, tally: Tally, length: int) -> Iterator[Hits]:
        """The relevant items among the first ``length``, ties in database order."""


class Scorer:
    """Scores query codes against a database.

    The distances are counted once, on first use; every measure and every tie rule but ``stable``
    then comes from the counts. ``stable`` passes over the database once more. The scores are the
    same for any way of cutting the database into shards; but for ``stable`` their order plays no
    part either.

    Args:
        query_codes: -1/+1 ``(Q, K)`` of any integer or float type, K from 1 to 512; an array or a
            tensor.
        query_labels: 0/1 ``(Q, C)``, C from 1 to 2000.
        database: one shard, or shards in database order.
        threads: how many threads count; each takes some of the queries.
        kernel: what counts, see `Kernel`; the scores are the same.
        device: a torch device that counts instead, a GPU by one kernel of Triton or by matrix
            products, any other one by matrix products, with the same scores; by default the GPU
            that ``query_codes`` lies on, if it does.
        tally: the counts of these queries and this database where they were made before, by
            `tally_of_parts` for example; the database is then read for ``stable`` alone.
        engine: the former name of ``kernel``; warns, and goes with hashbench 0.2.

    Raises:
        ValueError: names the argument, what was expected and what was found. The values of a
            shard are checked when it is read.

    Examples:
        A database in two parts, and several measures of one count:

        >>> from hashbench.retrieval import Shard
        >>> parts = [Shard([[1, 1], [1, -1]], [[1, 0], [0, 1]]), Shard([[-1, -1]], [[1, 0]])]
        >>> scorer = Scorer([[1, 1]], [[1, 0]], parts)
        >>> scorer.average_precision().round(4).tolist(), scorer.recall_at(2).tolist()
        ([0.8333], [0.5])
    """

    def __init__(
        self,
        query_codes: Any,
        query_labels: Any,
        database: Shard | Sequence[Shard],
        *,
        threads: int = 1,
        kernel: Kernel | str = Kernel.AUTO,
        device: Any = None,
        tally: Tally | None = None,
        engine: Kernel | str | None = None,
    ) -> None:
        if engine is not None:
            former_argument("hashbench.retrieval.Scorer", "engine", "kernel", gone="0.2")
            if kernel != Kernel.AUTO:
                raise UsageError("engine: the former name of kernel, found beside it; give kernel")
            kernel = engine
        codes = code_matrix(query_codes, "query_codes")
        labels = label_matrix(query_labels, "query_labels")
        same_rows(codes, labels, "query_codes", "query_labels")
        bits, classes = codes.shape[1], labels.shape[1]
        self._queries = group_queries(
            codes_to_bytes(codes, "query_codes", bits),
            labels_to_bytes(labels, "query_labels", classes),
            bits,
        )
        packed = PackedDatabase(
            open_shards(database, bits, classes),
            bits,
            classes,
            as_count(threads, "threads"),
            choice(Kernel, kernel, "kernel"),
        )
        if device is None and getattr(query_codes, "is_cuda", False):
            device = query_codes.device
        self._database: Database = packed if device is None else _on_device(packed, device)
        if tally is not None:
            _same_problem(tally, (len(codes), bits + 1), packed.items)
        self._given = tally

    @cached_property
    def tally(self) -> Tally:
        """Items per query and distance over the whole database."""
        return self._database.tally(self._queries) if self._given is None else self._given

    def average_precision(
        self,
        *,
        top_k: int | None = None,
        ties: Ties | str = Ties.EXPECTED,
        normalize: Normalize | str = Normalize.RETRIEVED,
    ) -> Floats:
        """Average precision of each query, float64 ``(Q,)`` in [0, 1].

        The arguments are those of `hashbench.retrieval.average_precision`.
        """
        rule = choice(Ties, ties, "ties")
        divisor = choice(Normalize, normalize, "normalize")
        limit = as_top_k(top_k)
        if rule is not Ties.STABLE:
            return average_precision_of(self.tally, top_k=limit, ties=rule, normalize=divisor)
        hits = self._stable_hits(self.tally.length(limit))
        sums, found = precision_sums(hits, self._queries.count)
        count = found if divisor is Normalize.RETRIEVED else self.tally.divisor(limit, divisor)
        return ratio(sums, count)

    def average_precisions(
        self,
        *,
        top_k: int | None = None,
        ties: Sequence[Ties | str] = (Ties.EXPECTED, Ties.BEST, Ties.WORST),
        normalize: Normalize | str = Normalize.RETRIEVED,
    ) -> dict[Ties, Floats]:
        """Average precisions under several tie rules, from the same counts."""
        rules = [choice(Ties, rule, "ties") for rule in ties]
        return {
            rule: self.average_precision(top_k=top_k, ties=rule, normalize=normalize)
            for rule in rules
        }

    def precision_at(self, top_k: int, *, ties: Ties | str = Ties.EXPECTED) -> Floats:
        """Share of relevant items among the first ``top_k``, float64 ``(Q,)`` in [0, 1]."""
        return self._hits_at(top_k, ties) / self.tally.length(top_k)

    def recall_at(self, top_k: int, *, ties: Ties | str = Ties.EXPECTED) -> Floats:
        """Share of the relevant items that are among the first ``top_k``, float64 ``(Q,)``."""
        return ratio(self._hits_at(top_k, ties), self.tally.relevant_items)

    def precision_within_radius(self, radius: int) -> Floats:
        """Share of relevant items within a Hamming distance, float64 ``(Q,)``; 0 if none is near.

        All items of a tie are in or out together, so every tie rule gives this value.
        """
        end = as_count(radius, "radius", least=0) + 1
        near = self.tally.total[:, :end].sum(axis=1)
        return ratio(self.tally.relevant[:, :end].sum(axis=1), near)

    def precision_recall_curve(
        self,
        levels: Sequence[float] = RECALL_LEVELS,
        *,
        ties: Ties | str = Ties.EXPECTED,
        rounding: RecallRounding | str = RecallRounding.UP,
    ) -> PrecisionRecall:
        """Precision at levels of recall; see `hashbench.retrieval.precision_recall_curve`."""
        rule = choice(Ties, ties, "ties")
        wanted = wanted_hits(self.tally, levels, choice(RecallRounding, rounding, "rounding"))
        if rule is Ties.STABLE:
            precision = stable_precision(self._stable_hits(self.tally.items), wanted)
        else:
            precision = precision_of(self.tally, wanted, rule)
        return PrecisionRecall(np.asarray(levels, dtype=np.float64), precision.mean(axis=0))

    def _hits_at(self, top_k: int, ties: Ties | str) -> Floats:
        rule = choice(Ties, ties, "ties")
        limit = as_count(top_k, "top_k")
        if rule is not Ties.STABLE:
            return hits_inside(self.tally, top_k=limit, ties=rule)
        count = np.zeros(self._queries.count, dtype=np.float64)
        for hits in self._stable_hits(self.tally.length(limit)):
            count[hits.query] += hits.order.size
        return count

    def _stable_hits(self, length: int) -> Iterator[Hits]:
        return self._database.stable_hits(self._queries, self.tally, length)


def _same_problem(tally: Tally, shape: tuple[int, int], items: int) -> None:
    if tally.total.shape != shape or tally.relevant.shape != shape or tally.items != items:
        raise UsageError(
            f"tally: expected counts of shape {shape} over {items} database items, found shape "
            f"{tally.total.shape} over {tally.items}"
        )


def _on_device(packed: PackedDatabase, device: Any) -> Database:
    # Only who names a device, or hands in a tensor that lies on one, needs torch.
    tensors = import_module("hashbench.retrieval.tensors")
    torch = import_module("torch")
    plain = tensors.TensorDatabase(packed, torch.device(device))
    # Torch for GPUs brings Triton along, but not on every system.
    fused = plain.device.type == "cuda" and find_spec("triton") is not None
    database: Database = (
        import_module("hashbench.retrieval.fused").FusedDatabase(plain) if fused else plain
    )
    return database
