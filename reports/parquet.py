"""Report as Apache Parquet: the rows of the CSV with typed columns, for data frames."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.plugins import Format, report_format
from hashbench.results.matches.results import MatchResults
from hashbench.results.results import Results

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS: Final = dict.fromkeys(("bits", "threshold", "seed"), "int64") | dict.fromkeys(
    ("value", "low", "high"), "float64"
)
"""The columns that are no text."""

_LARGEST: Final = 2**63


@report_format("parquet")
@dataclass(frozen=True)
class Parquet(Format):
    """One row per cell and metric, as in the CSV, in one Parquet file; needs pyarrow.

    Texts are as they are: what reads the file takes none of them for a formula or for markup. A
    value that is not known is null.
    """

    suffix: ClassVar[str] = ".parquet"
    one_file: ClassVar[bool] = True

    @override
    def files(self, results: Results, *, width: int | None = None) -> Mapping[str, bytes]:
        """Return the report as one file; see `Format.files`.

        Raises:
            UsageError: pyarrow is missing, or a seed does not fit into 64 bits.
        """
        return self._written(results.to_frame())

    @override
    def match_files(
        self, matches: MatchResults, *, width: int | None = None
    ) -> Mapping[str, bytes]:
        """Return the report as one file; see `Format.match_files`, and `files` for errors."""
        return self._written(matches.to_frame())

    def _written(self, frame: pd.DataFrame) -> dict[str, bytes]:
        """A frame whose columns are known, as one file."""
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise UsageError(
                "format 'parquet' needs the package pyarrow: pip install 'hashbench[parquet]' "
                f"({error})"
            ) from None
        for seed in frame["seed"].unique():
            if not -_LARGEST <= int(seed) < _LARGEST:
                raise UsageError(
                    f"format 'parquet' holds whole numbers of 64 bits, but there is a seed {seed}; "
                    "take csv or jsonl, or leave that seed out by --seed"
                )
        columns = []
        names = [str(name) for name in frame.columns]
        for name in names:
            typed = pa.type_for_alias(_NUMBERS.get(name, "string"))
            columns.append(pa.array(frame[name].tolist(), type=typed, from_pandas=True))
        file = io.BytesIO()
        pq.write_table(pa.table(columns, names=names), file)
        return {f"report{self.suffix}": file.getvalue()}
