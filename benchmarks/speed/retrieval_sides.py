"""The sides that `retrieval.py` races: data of a size, ours, and what others do with it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hashbench.retrieval import Scorer, Shard, mean_average_precision, pack_codes

Side = Callable[[], object]


@dataclass(frozen=True)
class Size:
    """A data set's size: items in the database, classes, mean labels of an image, bits."""

    name: str
    items: int
    classes: int
    labels: float
    bits: int


SIZES = (
    Size("NUS-WIDE", 193_734, 21, 2.4, 32),
    Size("NUS-WIDE", 193_734, 21, 2.4, 64),
    Size("MS-COCO", 117_218, 80, 2.9, 32),
    Size("FLICKR-25K", 18_000, 38, 4.7, 32),
)


@dataclass(frozen=True)
class Data:
    """float32 codes of -1 and +1 and int64 labels, as the papers' code holds them."""

    query_codes: Any
    codes: Any
    query_labels: Any
    labels: Any

    def first(self, queries: int) -> Data:
        """The same database with the first queries only."""
        few = slice(queries)
        return Data(self.query_codes[few], self.codes, self.query_labels[few], self.labels)

    def float_labels(self) -> Data:
        """The same with float32 labels, which BLAS multiplies."""
        return Data(
            self.query_codes,
            self.codes,
            self.query_labels.astype(np.float32),
            self.labels.astype(np.float32),
        )


def make_data(size: Size, queries: int, seed: int = 0) -> Data:
    """Class-dependent codes with noise, labels with a few frequent and many rare classes."""
    rng = np.random.default_rng(seed)
    frequency = rng.random(size.classes) ** 2
    frequency = np.minimum(0.6, frequency * size.labels / frequency.sum())
    prototypes = rng.standard_normal((size.classes, size.bits))

    def draw(count: int) -> tuple[Any, Any]:
        labels = (rng.random((count, size.classes)) < frequency).astype(np.int64)
        outputs = labels @ prototypes + 1.5 * rng.standard_normal((count, size.bits))
        return np.where(outputs >= 0, 1, -1).astype(np.float32), labels

    query_codes, query_labels = draw(queries)
    codes, labels = draw(size.items)
    return Data(query_codes, codes, query_labels, labels)


def field_loop(data: Data, top_k: int | None = None) -> float:
    """What the papers' evaluation does for each query, with its unstable sort of floats."""
    total, bits = 0.0, data.codes.shape[1]
    for code, label in zip(data.query_codes, data.query_labels, strict=True):
        relevant = (np.dot(label, data.labels.T) > 0).astype(np.float32)
        order = np.argsort(0.5 * (bits - np.dot(code, data.codes.T)))
        relevant = relevant[order][:top_k]
        count = int(relevant.sum())
        if count:
            ranks = np.asarray(np.where(relevant == 1)[0]) + 1.0
            total += float(np.mean(np.linspace(1, count, count) / ranks))
    return total / len(data.query_codes)


def torch_matmul(data: Data) -> float:
    """One product for the distances, one for the relevance, a stable sort, a gather."""
    codes, labels = torch.from_numpy(data.codes), torch.from_numpy(data.labels).float()
    query_labels = torch.from_numpy(data.query_labels).float()
    distance = data.codes.shape[1] - torch.from_numpy(data.query_codes) @ codes.T
    order = torch.argsort(distance, dim=1, stable=True)
    relevant = (query_labels @ labels.T > 0).gather(1, order).double()
    precision = relevant.cumsum(1) / torch.arange(1, codes.shape[0] + 1)
    return float(((precision * relevant).sum(1) / relevant.sum(1).clamp(min=1)).mean())


def faiss_search(data: Data) -> float:
    """A complete search of packed codes, then the precision at each hit."""
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryFlat(data.codes.shape[1])
    index.add(np.packbits(data.codes > 0, axis=1))
    _, order = index.search(np.packbits(data.query_codes > 0, axis=1), data.codes.shape[0])
    labels = data.labels.astype(np.float32)
    total = 0.0
    for label, ranking in zip(data.query_labels, order, strict=True):
        ranks = np.flatnonzero((labels @ label.astype(np.float32) > 0)[ranking]) + 1
        total += float((np.arange(1, ranks.size + 1) / ranks).mean()) if ranks.size else 0.0
    return total / len(data.query_codes)


def torchmetrics_map(data: Data) -> float:
    """``RetrievalMAP`` fed with minus the distances."""
    retrieval = importlib.import_module("torchmetrics.retrieval")
    queries, items = data.query_codes.shape[0], data.codes.shape[0]
    score = torch.from_numpy(data.query_codes @ data.codes.T)
    target = torch.from_numpy(data.query_labels @ data.labels.T > 0)
    metric = retrieval.RetrievalMAP()
    metric.update(
        score.reshape(-1), target.reshape(-1), torch.arange(queries).repeat_interleave(items)
    )
    return float(metric.compute())


def ours(data: Data, **options: Any) -> Side:
    """The mean average precision of this package, checks and packing included."""
    return lambda: mean_average_precision(
        data.query_codes, data.codes, data.query_labels, data.labels, **options
    )


def counted_by(kernel: str, data: Data) -> object:
    """Average precision with one kernel, checks and packing included."""
    shard = Shard(data.codes, data.labels)
    scorer = Scorer(data.query_codes, data.query_labels, shard, kernel=kernel)
    return scorer.average_precision()


def bare_pass(data: Data) -> Side:
    """Nothing but xor and popcount in numpy, on codes that are packed already."""
    word = np.dtype(f"u{data.codes.shape[1] // 8}")
    codes = pack_codes(data.codes).view(word)[:, 0]
    queries = pack_codes(data.query_codes).view(word)[:, 0]

    def run() -> None:
        for query in queries:
            np.bitwise_count(query ^ codes)

    return run


def chunked_matmul_centers(labels: Any, codes: Any, code_labels: Any) -> Any:
    """CgAT's formula for all queries, some rows at a time."""
    rows = []
    for start in range(0, labels.shape[0], 256):
        relevant = (labels[start : start + 256] @ code_labels.T > 0).astype(np.float32)
        positive = relevant.sum(1, keepdims=True)
        negative = code_labels.shape[0] - positive
        rows.append(np.sign(negative * (relevant @ codes) - positive * ((1 - relevant) @ codes)))
    return np.concatenate(rows)
