"""The files `metadata.jsonl` and `metadata.csv` of HuggingFace's imagefolder, as fields by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from hashbench.data.layouts.tables import Delimiter, open_table
from hashbench.data.sources import read_list
from hashbench.errors import FileError, UsageError
from hashbench.files import parsed_json

FILE_NAME: Final = "file_name"
"""The field of the path, relative to the metadata file's folder."""

_LONGEST: Final = 1 << 20
_VALUES: Final = 20_000

Fields = Mapping[str, Any]


def read_fields(path: Path) -> Iterator[tuple[int, Fields]]:
    """The line and the fields of every image.

    Args:
        path: a `metadata.jsonl` or `metadata.csv`.

    Raises:
        UsageError: it cannot be read, or a line is malformed; names file and line.
    """
    if path.suffix == ".csv":
        table = open_table(path, Delimiter.AUTO, FILE_NAME, header=True)
        for line, cells in table.rows():
            yield line, dict(zip(table.columns, cells, strict=True))
        return
    for number, line_bytes in enumerate(BytesIO(read_list(path)), start=1):
        text = line_bytes.strip()
        if not text:
            continue
        where = f"{path}, line {number}"
        if len(text) > _LONGEST:
            raise UsageError(f"{where}: it has more than {_LONGEST:,} bytes")
        try:
            fields = parsed_json(text, values=_VALUES)
        except FileError as error:
            raise UsageError(
                f"{where}: {str(error).replace(' in line 1', '')}; expected one JSON object a line"
            ) from None
        if not isinstance(fields, dict):
            raise UsageError(
                f'{where}: expected a JSON object, such as {{"file_name": "1.jpg", "label": "cat"}}'
            )
        yield number, fields
