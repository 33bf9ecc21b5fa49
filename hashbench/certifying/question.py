"""What is asked of a certificate: codes with uncertain bits, and the database that they rank."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hashbench.certifying.items import CodeCounts, DistinctItems, Row
from hashbench.errors import UsageError
from hashbench.retrieval import Shard
from hashbench.retrieval.checks import as_count, row_blocks, same_rows
from hashbench.retrieval.database import PackedDatabase, open_shards
from hashbench.retrieval.packing import code_matrix, label_matrix, labels_to_bytes, pack_codes
from hashbench.retrieval.queries import Queries, group_queries


class Answer(Protocol):
    """What is done for each query; queries are answered in any order, by several threads."""

    def __call__(self, query: int, row: Row, relevant: CodeCounts, irrelevant: CodeCounts) -> None:
        """Answer a query, given the items that share a label with it and the others."""


@dataclass(frozen=True)
class Question:
    """Queries with uncertain bits, and a database.

    Attributes:
        rows: int8 `(Q, K)` of +1, -1 and 0.
        items: the database.
    """

    rows: Row
    items: DistinctItems
    _queries: Queries

    @classmethod
    def read(
        cls, bits: Any, query_labels: Any, database_codes: Any, database_labels: Any
    ) -> Question:
        """The question that these arrays ask, see `hashbench.certifying.certified_precision`.

        Raises:
            UsageError: names the argument, what was expected and what was found.
        """
        rows = _rows(bits)
        labels = label_matrix(query_labels, "query_labels")
        same_rows(rows, labels, "bits", "query_labels")
        width, classes = rows.shape[1], labels.shape[1]
        shards = open_shards(Shard(database_codes, database_labels), width, classes)
        queries = group_queries(
            pack_codes(np.where(rows > 0, 1, -1)),
            labels_to_bytes(labels, "query_labels", classes),
            width,
        )
        return cls(rows, DistinctItems.of(PackedDatabase(shards, width, classes).parts()), queries)

    def answer(self, answer: Answer, threads: int) -> None:
        """Have every query answered; queries of one label row by one thread."""
        lots = self._queries.split(as_count(threads, "threads"))

        def work(lot: Queries) -> None:
            for members, relevant, irrelevant in self.items.by_relevance(lot):
                for query in members.tolist():
                    answer(query, self.rows[query], relevant, irrelevant)

        with ThreadPoolExecutor(len(lots)) as pool:
            jobs = [pool.submit(work, lot) for lot in lots[:-1]]
            work(lots[-1])
            for job in jobs:
                job.result()


def _rows(bits: Any) -> Row:
    array = code_matrix(bits, "bits")
    rows: Row = np.empty(array.shape, dtype=np.int8)
    for block in row_blocks(*array.shape):
        part = array[block]
        wrong = ~((part == 1) | (part == -1) | (part == 0))
        if wrong.any():
            row, column = (int(index[0]) for index in np.nonzero(wrong))
            raise UsageError(
                f"bits: expected only -1, +1, and 0 for a bit that is uncertain, found "
                f"{part[row, column].item()!r} in row {block.start + row}, column {column}"
            )
        rows[block] = part
    return rows
