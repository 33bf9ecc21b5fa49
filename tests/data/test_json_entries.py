"""Entries of a JSON file come one by one as the library reads them whole; or it is refused."""

from __future__ import annotations

import json
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.data.sets import json_entries as room
from hashbench.data.sets.json_entries import json_entries
from hashbench.errors import FileError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
TABLES = st.dictionaries(st.text(max_size=4), VALUES | st.lists(VALUES, max_size=5), max_size=4)


@given(
    table=TABLES,
    block=st.sampled_from([1, 2, 7, 1 << 20]),
    indent=st.sampled_from([None, 0, 2]),
    plain=st.booleans(),
    mark=st.booleans(),
)
def test_entries_are_those_of_the_whole(
    table: dict[str, object], block: int, indent: int | None, plain: bool, mark: bool
) -> None:
    content = json.dumps(table, indent=indent, ensure_ascii=plain).encode()
    expected = [
        (name, entry)
        for name, entries in table.items()
        if isinstance(entries, list)
        for entry in entries
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "_BLOCK", block)
        found = list(json_entries(BytesIO(b"\xef\xbb\xbf" * mark + content)))
    assert found == expected


@given(table=TABLES, share=st.floats(0, 0.999))
def test_a_file_that_is_cut_off_is_refused(table: dict[str, object], share: float) -> None:
    content = json.dumps(table).encode()
    with pytest.raises(FileError):
        list(json_entries(BytesIO(content[: int(share * len(content))])))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "expected {, found 'the end of the file'"),
        (b"[]", "expected {"),
        (b"{1: 2}", "a name is no text"),
        (b'{"a" 1}', "expected :"),
        (b'{"a": [1 2]}', "expected , or ]"),
        (b'{"a": [\xff]}', "not in UTF-8"),
        (b'{"a": [' + b"[" * 100_000, "nested too deep"),
        (b'{"a": [' + b"1" * 5_000 + b"]}", "too many digits"),
        (b'{"a": ["' + b"a" * (room.MAX_ENTRY + (1 << 21)), "an entry has more than 4,194,304"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, says: str) -> None:
    with pytest.raises(FileError) as caught:
        list(json_entries(BytesIO(content)))
    assert says in str(caught.value)
