"""Average precision against the codes that an attacker knows: exact, and made smooth to descend on.

Works on tensors of one batch, on whatever device they lie; asks no model.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.retrieval import Normalize, Tally, Ties
from hashbench.retrieval.tally import average_precision_of

_ROUNDING = 1e-12
"""Of a gradient in double precision, whose terms are of the order of 1."""

_LEAST_MASS = 1e-6
"""Of an item: below it a bin is empty, and a ratio of two such tails says nothing."""


class KnownRanking:
    """Known codes, as each query of a batch ranks them.

    Equal pairs of code and label row are one entry with a count, so that a batch's histograms cost
    one (B x entries) product.

    Attributes:
        codes: the distinct entries' codes, (G, K) of +1 and -1.
        counts: how many items each entry stands for, (G,).
        relevant: (B, G), true where an entry shares a label with the query.
    """

    def __init__(self, labels: Tensor, codes: Tensor, code_labels: Tensor) -> None:
        """Group the known codes.

        Args:
            labels: the queries' labels, (B, classes) of 0 and 1.
            codes: the known codes, float (N, K) of +1 and -1.
            code_labels: their labels, (N, classes).
        """
        pairs = torch.cat([codes, code_labels], dim=1)
        entries, counts = pairs.unique(dim=0, return_counts=True)
        self.codes, rows = entries.split([codes.shape[1], code_labels.shape[1]], dim=1)
        self.counts = counts.to(codes.dtype)
        self.relevant = labels @ rows.T > 0

    @property
    def bits(self) -> int:
        """Code length K."""
        return int(self.codes.shape[1])

    def of(self, queries: Tensor) -> KnownRanking:
        """The same for some of the queries.

        Args:
            queries: their indices, or a mask, (B,).
        """
        part = copy.copy(self)
        part.relevant = self.relevant[queries]
        return part

    def average_precision(self, codes: Tensor) -> Tensor:
        """The mean average precision over all orders inside ties, float64 (B,); not smooth.

        Args:
            codes: the queries' codes, (B, K) of +1 and -1; the list is as long as all known codes.
        """
        bins = self.bits + 1
        products = codes.to(self.codes.dtype) @ self.codes.T
        distance = ((self.bits - products) / 2).round().long()
        index = distance + bins * self.relevant
        histogram = torch.zeros(len(codes), 2 * bins, dtype=torch.float64, device=codes.device)
        histogram.scatter_add_(1, index, self.counts.double().expand(len(codes), -1))
        others, relevant = histogram.split(bins, dim=1)
        scores = average_precision_of(
            Tally(total=_whole(others + relevant), relevant=_whole(relevant)),
            top_k=None,
            ties=Ties.EXPECTED,
            normalize=Normalize.RETRIEVED,
        )
        return torch.from_numpy(scores).to(codes.device)

    def expected_precision(self, codes: Tensor) -> Tensor:
        """The mean over draws of `average_precision`, float64 (B,).

        Args:
            codes: the queries' codes in every draw, (draws, B, K) of +1 and -1.
        """
        return torch.stack([self.average_precision(drawn) for drawn in codes]).mean(dim=0)


class SmoothPrecision:
    """A smooth average precision of outputs against known codes, with its gradient in closed form.

    `d_j = (K - u . b_j) / 2` lies in `[0, K]`. Each item goes into the two bins next to it, by its
    distance to either, once among the relevant items (`r`) and once among all (`n`); a Gaussian
    over the bins smooths both. With `R` and `N` their sums up to each bin, the value is
    `sum_k r_k R_k / N_k / (relevant items)`: FastAP's (Cakir et al., CVPR 2019, eq. 6), which is
    used there to train. A query with no relevant item has value and gradient 0.
    """

    def __init__(self, ranking: KnownRanking, width: float) -> None:
        """Prepare the bins.

        Args:
            ranking: the queries and what they rank.
            width: standard deviation of the Gaussian, in bits; 0 for none.

        Raises:
            UsageError: the width is not a number of 0 or more.
        """
        self._bits = ranking.bits
        self._kernel = smoothing_kernel(ranking.bits, width).to(ranking.codes.device)
        self._codes, self._counts = ranking.codes.double(), ranking.counts.double()
        self._offset = (ranking.bits + 1) * ranking.relevant
        self._found = (ranking.relevant.double() @ self._counts).clamp(min=1).unsqueeze(1)
        self._weighted = self._counts.unsqueeze(1) * self._codes

    def __call__(self, outputs: Tensor) -> Tensor:
        """The value of each query, (B,) in `[0, 1]`.

        Args:
            outputs: u, (B, K) in `[-1, 1]`; the value is differentiable in them, once.
        """
        value: Tensor = _Value.apply(outputs, self)
        return value

    def value_and_gradient(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """The value of each query, (B,), and its gradient by the outputs, (B, K)."""
        bits = self._bits
        # In double a sum of float32 outputs depends neither on its order, nor hence on the batch,
        # and a histogram but for its last digits.
        products = outputs.double() @ self._codes.T
        # NaN would be no bin at all; a query whose outputs are NaN cannot be moved anyway.
        distance = ((bits - products) / 2).nan_to_num(0.0).clamp(0, bits)
        below = distance.floor().clamp(max=bits - 1)
        above_share = (distance - below) * self._counts
        index = below.long() + self._offset
        histogram = distance.new_zeros(len(outputs), 2 * (bits + 1))
        histogram.scatter_add_(1, index, self._counts - above_share)
        histogram.scatter_add_(1, index + 1, above_share)
        value, slopes = self._of_histogram(histogram)
        # An item that moves towards the next bin takes its weight from one to the other.
        gradient = slopes.diff(dim=1).gather(1, index) @ self._weighted / -2
        # What cancels to 0 leaves a rounding error, of which a sign step would make a full one.
        gradient.masked_fill_(gradient.abs() < _ROUNDING, 0.0)
        return value.to(outputs.dtype), gradient.to(outputs.dtype)

    def _of_histogram(self, histogram: Tensor) -> tuple[Tensor, Tensor]:
        """The value, and its derivative by every bin of the two histograms, others then relevant.

        Args:
            histogram: (B, 2 (K + 1)).
        """
        others, hits = (part @ self._kernel for part in histogram.chunk(2, dim=1))
        hits_so_far = hits.cumsum(dim=1)
        so_far = (hits_so_far + others.cumsum(dim=1)).clamp(min=_LEAST_MASS)
        precision = hits_so_far / so_far
        value = (hits * precision).sum(dim=1) / self._found.squeeze(1)
        share = hits / so_far
        by_others = _sum_from(-share * precision)
        by_hits = precision + _sum_from(share) + by_others
        slopes = torch.cat([by_others @ self._kernel.T, by_hits @ self._kernel.T], dim=1)
        return value, slopes / self._found


class _Value(torch.autograd.Function):
    """Carries the closed-form gradient into torch's graph."""

    @staticmethod
    @override
    def forward(ctx: Any, outputs: Tensor, precision: SmoothPrecision) -> Tensor:
        value, gradient = precision.value_and_gradient(outputs)
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @override
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return above[0].unsqueeze(1) * gradient, None


def smoothing_kernel(bits: int, width: float) -> Tensor:
    """How a bin's weight is spread over all bins: float64 (K + 1, K + 1), rows sum to 1.

    Args:
        bits: code length K.
        width: standard deviation of the Gaussian, in bits; 0 for the identity.

    Raises:
        UsageError: the width is not a number of 0 or more.
    """
    if not 0 <= width < float("inf"):
        raise UsageError(f"width must be a number of 0 or more, found {width}")
    if width == 0:
        return torch.eye(bits + 1, dtype=torch.float64)
    place = torch.arange(bits + 1, dtype=torch.float64)
    kernel = torch.exp(-((place - place.unsqueeze(1)) / width).square() / 2)
    return kernel / kernel.sum(dim=1, keepdim=True)


def _sum_from(values: Tensor) -> Tensor:
    """The sum from each bin to the last, (B, K + 1)."""
    return values.flip(1).cumsum(dim=1).flip(1)


def _whole(values: Tensor) -> NDArray[np.int64]:
    return values.cpu().numpy().astype(np.int64)
