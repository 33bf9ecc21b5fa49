"""A database that is too large for one process: parts that are counted apart and added up.

A part says which rows of which files; whoever sees the files can count it, in any order, on any
machine. Tallies add up exactly, so that the scores are the same as of the whole database at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Final

from hashbench.errors import UsageError
from hashbench.retrieval.checks import Array, as_count
from hashbench.retrieval.database import Shard, load_array
from hashbench.retrieval.options import Kernel
from hashbench.retrieval.packing import code_matrix, label_matrix
from hashbench.retrieval.scorer import Scorer
from hashbench.retrieval.tally import Tally

PART_ITEMS: Final = 1 << 22
"""Items of a part where nothing else is asked for: some seconds of counting for 1,000 queries."""


@dataclass(frozen=True)
class Part:
    """Some rows of a shard that lies in files, in plain values: they may be written as JSON.

    Attributes:
        codes: path of the shard's ``.npy`` file of codes, as `Shard` takes it.
        labels: path of its ``.npy`` file of labels.
        start: the first row.
        stop: the row behind the last one.
        rows: how many rows the files have, so that a file that was changed is noticed.

    Raises:
        ValueError: no rows, or rows that the files do not have.
    """

    codes: str
    labels: str
    start: int
    stop: int
    rows: int

    def __post_init__(self) -> None:
        numbers = (self.start, self.stop, self.rows)
        whole = all(type(number) is int for number in numbers)
        if not (whole and 0 <= self.start < self.stop <= self.rows):
            raise UsageError(
                "start, stop, rows: expected whole numbers with 0 <= start < stop <= rows, "
                f"found {self.start!r}, {self.stop!r}, {self.rows!r}"
            )

    def shard(self) -> Shard:
        """The rows, as memory maps: nothing is read before it is counted.

        Raises:
            ValueError: a file cannot be read, or has another number of rows than it had.
        """
        return Shard(self._rows_of(self.codes, "codes"), self._rows_of(self.labels, "labels"))

    def _rows_of(self, path: str, what: str) -> Array:
        array = _file(path, what)
        if array.shape[0] != self.rows:
            raise UsageError(
                f"{what}: expected {self.rows} rows in {path}, found {array.shape[0]}: the file "
                "was changed since the database was cut into parts"
            )
        rows: Array = array[self.start : self.stop]
        return rows


def parts_of(database: Shard | Sequence[Shard], *, items: int = PART_ITEMS) -> list[Part]:
    """Cut a database that lies in files into parts.

    Args:
        database: one shard or several, whose codes and labels are paths of ``.npy`` files.
        items: rows of a part at most; 2^22 by default.

    Returns:
        The parts, in database order; every row is in one of them.

    Raises:
        ValueError: a shard lies in memory, or a file cannot be read or has other rows than its
            partner.

    Examples:
        >>> import shutil, tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> folder = Path(tempfile.mkdtemp())
        >>> np.save(folder / "codes.npy", np.array([[1, 1], [1, -1], [-1, -1]]))
        >>> np.save(folder / "labels.npy", np.array([[1, 0], [0, 1], [1, 0]]))
        >>> shard = Shard(folder / "codes.npy", folder / "labels.npy")
        >>> [(part.start, part.stop) for part in parts_of(shard, items=2)]
        [(0, 2), (2, 3)]
        >>> shutil.rmtree(folder)
    """
    step = as_count(items, "items")
    shards = [database] if isinstance(database, Shard) else database
    return [part for number, shard in enumerate(shards) for part in _cut(shard, number, step)]


def tally_of_part(
    query_codes: Any,
    query_labels: Any,
    part: Part,
    *,
    threads: int = 1,
    kernel: Kernel | str = Kernel.AUTO,
    device: Any = None,
) -> Tally:
    """Count one part of a database; arguments and errors as for `Scorer`.

    Examples:
        >>> import shutil, tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> folder = Path(tempfile.mkdtemp())
        >>> np.save(folder / "codes.npy", np.array([[1, 1], [1, -1], [-1, -1]]))
        >>> np.save(folder / "labels.npy", np.array([[1, 0], [0, 1], [1, 0]]))
        >>> shard = Shard(folder / "codes.npy", folder / "labels.npy")
        >>> tally_of_part([[1, 1]], [[1, 0]], parts_of(shard, items=2)[0]).total.tolist()
        [[1, 1, 0]]
        >>> shutil.rmtree(folder)
    """
    scorer = Scorer(
        query_codes, query_labels, part.shard(), threads=threads, kernel=kernel, device=device
    )
    return scorer.tally


def tally_of_parts(
    query_codes: Any,
    query_labels: Any,
    parts: Iterable[Part],
    *,
    executor: Executor | None = None,
    threads: int = 1,
    kernel: Kernel | str = Kernel.AUTO,
    device: Any = None,
) -> Tally:
    """Count parts of a database, each by itself, and add up.

    Args:
        query_codes: as for `Scorer`.
        query_labels: as for `Scorer`.
        parts: of `parts_of`; each once.
        executor: counts the parts, any of Python's ``concurrent.futures`` or one like them, whose
            processes see the files; without it they are counted here, one after another.
        threads: of each process.
        kernel: what counts, see `Kernel`.
        device: a torch device that counts, in each process.

    Returns:
        The tally of all parts; `Scorer` takes it as ``tally``.

    Raises:
        ValueError: no parts, or as for `Scorer`. Parts that wait are then given up.

    Examples:
        >>> import shutil, tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> folder = Path(tempfile.mkdtemp())
        >>> np.save(folder / "codes.npy", np.array([[1, 1], [1, -1], [-1, -1]]))
        >>> np.save(folder / "labels.npy", np.array([[1, 0], [0, 1], [1, 0]]))
        >>> shard = Shard(folder / "codes.npy", folder / "labels.npy")
        >>> tally = tally_of_parts([[1, 1]], [[1, 0]], parts_of(shard, items=2))
        >>> Scorer([[1, 1]], [[1, 0]], shard, tally=tally).average_precision().round(4).tolist()
        [0.8333]
        >>> shutil.rmtree(folder)
    """
    # Arrays of the host, whatever came: they are sent to other processes.
    asked = code_matrix(query_codes, "query_codes"), label_matrix(query_labels, "query_labels")
    how: dict[str, Any] = {"threads": threads, "kernel": str(kernel), "device": device}
    if executor is None:
        return merge_tallies(tally_of_part(*asked, part, **how) for part in parts)
    waiting = [executor.submit(tally_of_part, *asked, part, **how) for part in parts]
    try:
        return merge_tallies(done.result() for done in as_completed(waiting))
    finally:
        for future in waiting:
            future.cancel()


def merge_tallies(tallies: Iterable[Tally]) -> Tally:
    """The tally of a database from those of its parts, in any order.

    Raises:
        ValueError: none, or tallies of other queries or other lengths of code.

    Examples:
        >>> from hashbench.retrieval import Shard
        >>> parts = [Shard([[1, 1], [1, -1]], [[1, 0], [0, 1]]), Shard([[-1, -1]], [[1, 0]])]
        >>> tallies = [Scorer([[1, 1]], [[1, 0]], part).tally for part in parts]
        >>> merge_tallies(tallies).total.tolist(), merge_tallies(tallies).relevant.tolist()
        ([[1, 1, 1]], [[1, 0, 1]])
    """
    found = iter(tallies)
    first = next(found, None)
    if first is None:
        raise UsageError("tallies: expected those of at least one part, found none")
    return reduce(add, found, first)


def _cut(shard: Shard, number: int, step: int) -> list[Part]:
    name = f"shards[{number}]."
    codes, labels = (
        _file(path, f"{name}{what}")
        for path, what in ((shard.codes, "codes"), (shard.labels, "labels"))
    )
    rows = codes.shape[0]
    if labels.shape[0] != rows:
        raise UsageError(
            f"{name}labels: expected one row for each of the {rows} rows of {name}codes, "
            f"found shape {labels.shape}"
        )
    return [
        Part(str(shard.codes), str(shard.labels), start, min(rows, start + step), rows)
        for start in range(0, rows, step)
    ]


def _file(path: Any, what: str) -> Array:
    if not isinstance(path, str | Path):
        raise UsageError(
            f"{what}: expected the path of an .npy file, which another process can read, found "
            f"{type(path).__name__}"
        )
    array: Array = load_array(path, what)
    if array.ndim != 2:
        raise UsageError(f"{what}: expected two dimensions in {path}, found shape {array.shape}")
    return array
