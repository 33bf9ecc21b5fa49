"""Tables of paths and labels: columns, delimiters, several labels, splits, and what is refused."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hashbench.data.layouts.tables import Delimiter, open_table
from hashbench.data.lists.listing import Listing
from hashbench.data.sets.csv_table import CSVTable
from hashbench.errors import UsageError
from hashbench.plugins.parameters import build

TABLE = "file,label\n" + "".join(f"im/{n}.png,{'cat' if n % 2 else 'dog'}\n" for n in range(10))


def write(root: Path, **files: str | bytes) -> Path:
    """Tables by their stem."""
    for stem, content in files.items():
        path = root / f"{stem}.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def read(root: Path, **parameters: str) -> Listing:
    return build(CSVTable, parameters).listing(root)


def labels_of(listing: Listing) -> dict[str, set[str]]:
    """The classes of every image, by path."""
    found: dict[str, set[str]] = {}
    for split in listing.splits.values():
        for path, row in zip(split.paths, split.labels, strict=True):
            names = {name for name, one in zip(listing.classes, row, strict=True) if one}
            assert found.setdefault(path, names) == names
    return found


EXPECTED = {f"im/{n}.png": {"cat" if n % 2 else "dog"} for n in range(10)}


@pytest.mark.parametrize(
    "content",
    [
        TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        TABLE + "\n\n",
        TABLE.rstrip("\n"),
        "\ufeff" + TABLE,
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        TABLE.replace(",", "|"),
        TABLE.replace(",", " , "),
        TABLE.replace("cat", '"cat"').replace("file", '"file"'),
        TABLE.replace("file,label", "Image,Class"),
        TABLE.replace("file,label", "extra,file,label").replace("im/", '"x, ""y""",im/'),
        TABLE.replace("file,label", "extra,file,label").replace("im/", '"two\nlines",im/'),
    ],
)
def test_tables_of_one_label_say_the_same(tmp_path: Path, content: str) -> None:
    listing = read(write(tmp_path, labels=content))
    assert labels_of(listing) == EXPECTED
    assert listing.classes == ("cat", "dog")
    assert len(listing.query) == 2


def test_a_row_is_told_by_the_line_where_it_begins(tmp_path: Path) -> None:
    content = 'note,file,label\n"two\nlines",0.png,a\n\nx,1.png,a\nx,2.png,b\nx,3.png,b\n'
    listing = read(write(tmp_path, labels=content), query="2")
    places = {
        path: split.where(row)
        for split in listing.splits.values()
        for row, path in enumerate(split.paths)
    }
    lines = {"0.png": 2, "1.png": 5, "2.png": 6, "3.png": 7}
    assert places == {path: f"{tmp_path}/labels.csv, line {line}" for path, line in lines.items()}


CELLS = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=5)


@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6),
    delimiter=st.sampled_from([one for one in Delimiter if one is not Delimiter.AUTO]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_rows_come_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    delimiter: Delimiter,
    end: str,
    quoting: int,
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        delimiter=delimiter.character,
        lineterminator=end,
        quoting=quoting,  # type: ignore[arg-type]
    )
    writer.writerows([("path", "label"), *rows])
    path = tmp_path_factory.mktemp("table") / "t.csv"
    path.write_bytes(text.getvalue().encode())
    asked = [delimiter] if delimiter is Delimiter.SPACE else [delimiter, Delimiter.AUTO]
    for one in asked:
        table = open_table(path, one, "path", header=True)
        assert table.columns == ("path", "label")
        assert [tuple(cells) for _, cells in table.rows()] == rows
        assert [line for line, _ in table.rows()] == list(range(2, len(rows) + 2))


@given(
    rows=st.lists(st.sets(st.sampled_from(["cat", "dog", "a b", "é"])), min_size=4, max_size=8),
    separator=st.sampled_from([("semicolon", ";"), ("pipe", "|"), ("comma", ", "), ("//", "//")]),
)
def test_several_labels_in_a_cell_are_those_of_columns(
    tmp_path_factory: pytest.TempPathFactory, rows: list[set[str]], separator: tuple[str, str]
) -> None:
    rows = [*rows, {"dog"}, {"a b"}, {"é"}, *[{"cat"}] * 30]  # a query that finds something
    names = ["a b", "cat", "dog", "é"]
    root = tmp_path_factory.mktemp("several")
    cells = [separator[1].join(sorted(row)) for row in rows]
    one = "path,labels\n" + "".join(f'{n}.png,"{cell}"\n' for n, cell in enumerate(cells))
    many = f"path,{','.join(names)}\n" + "".join(
        f"{n}.png,{','.join(str(int(name in row)) for name in names)}\n"
        for n, row in enumerate(rows)
    )
    write(root, one=one, many=many)
    expected = {f"{n}.png": row for n, row in enumerate(rows)}
    found = read(root, file="one.csv", separator=separator[0], query="20")
    assert labels_of(found) == expected
    assert found.classes == tuple(names)
    for labels in ("all", "a b..é", "a b+cat+dog+é", "a b..dog+é"):
        again = read(root, file="many.csv", labels=labels, query="20")
        assert labels_of(again) == expected
        assert again.classes == found.classes
        assert again.query.paths == found.query.paths


@pytest.mark.parametrize("cells", ["0 1", "0 1 2", "10 9 2", "0.0 1.0 2.0"])
def test_a_column_of_numbers_has_a_class_for_each(tmp_path: Path, cells: str) -> None:
    """Never a row of 0 and 1, though the values may be these two."""
    values = cells.split()
    content = "path,label\n" + "".join(f"{n}.png,{values[n % len(values)]}\n" for n in range(12))
    found = read(write(tmp_path, t=content))
    names = [str(int(float(value))) for value in values]
    assert found.classes == tuple(sorted(names, key=int))
    assert labels_of(found) == {f"{n}.png": {names[n % len(names)]} for n in range(12)}


def test_classes_txt_gives_classes_and_order(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("zebra\ncat\ndog\n")
    by_name = read(write(tmp_path, t=TABLE))
    by_number = read(write(tmp_path, t=TABLE.replace("cat", "1").replace("dog", "2")))
    assert by_name.classes == by_number.classes == ("zebra", "cat", "dog")
    assert labels_of(by_name) == labels_of(by_number) == EXPECTED
    for other, says in (
        ("3", "the label '3' is no class of classes.txt, nor one of its 3 lines, counted from 0"),
        ("cats", "the label 'cats' is no class of classes.txt; did you mean 'cat'"),
    ):
        with pytest.raises(UsageError, match=f"t.csv, line 3: {says}"):
            read(write(tmp_path, t=TABLE.replace("cat", other, 1)))


def test_splits_of_a_column_and_of_files(tmp_path: Path) -> None:
    names = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    lines = TABLE.splitlines()
    column = f"{lines[0]},split\n" + "".join(
        f"{line},{name}\n" for line, name in zip(lines[1:], names, strict=True)
    )
    by_column = read(write(tmp_path, t=column))
    assert by_column.roles == "train from train, query from test, database from train"
    assert by_column.query.paths == ("im/8.png", "im/9.png")
    assert len(read(tmp_path, split="none").query) == 2
    assert read(tmp_path, query="val", train="train+test").query.paths == ("im/6.png", "im/7.png")
    (tmp_path / "t.csv").unlink()
    header = f"{lines[0]}\n"
    for name, part in (("train", lines[1:7]), ("val", lines[7:9]), ("test", lines[9:])):
        write(tmp_path, **{name: header + "\n".join(part)})
    write(tmp_path, sample_submission="nothing of ours")
    by_file = read(tmp_path)
    assert by_file.roles == by_column.roles
    assert by_file.query.paths == by_column.query.paths
    assert by_file.query.where(0) == f"{tmp_path}/test.csv, line 2"
    assert labels_of(by_file) == labels_of(by_column)
    joined = read(tmp_path, query="val+test")
    assert joined.query.where(3) == f"{tmp_path}/test.csv, line 3"


@pytest.mark.parametrize("stems", [("train", "test"), ("test", "train")])
def test_tables_of_other_label_columns_are_refused(tmp_path: Path, stems: tuple[str, str]) -> None:
    tables = ("path,cat,dog\na.png,1,0\n", "path,label\nb.png,bird\n")
    root = write(tmp_path, **dict(zip(stems, tables, strict=True)))
    with pytest.raises(UsageError, match="its label columns are not those of the other tables"):
        read(root, labels="all")


def test_a_table_without_header_has_numbered_columns(tmp_path: Path) -> None:
    body = "".join(f"{n}.png,{n % 2},{1 - n % 2}\n" for n in range(10))
    found = read(write(tmp_path, t=body), header="false", path="1", labels="2..3")
    assert labels_of(found) == {f"{n}.png": {"2" if n % 2 else "3"} for n in range(10)}
    found = read(tmp_path, header="false", path="1", labels="2")
    assert labels_of(found) == {f"{n}.png": {str(n % 2)} for n in range(10)}


def test_paths_are_made_whole(tmp_path: Path) -> None:
    content = TABLE.replace("im/", "/home/x/data/").replace(".png", "")
    parameters = {"strip": "/home/x/data", "images": "im", "suffix": ".png"}
    assert labels_of(read(write(tmp_path, t=content), **parameters)) == EXPECTED
    dataset = build(CSVTable, parameters)
    assert dataset.protocol_name() == "csv:images=im,suffix=.png"
    windows = TABLE.replace("im/", "C:\\x\\im\\")
    assert labels_of(read(write(tmp_path, t=windows), strip="C:\\x")) == EXPECTED


def test_a_row_for_each_label(tmp_path: Path) -> None:
    content = "path,label\n" + "".join(f"{n}.png,a\n{n}.png,{'bc'[n % 2]}\n" for n in range(10))
    with pytest.raises(UsageError) as caught:
        read(write(tmp_path, t=content))
    assert str(caught.value) == (
        f"{tmp_path}/t.csv, line 3: the image '0.png' comes again with other labels than in line "
        "2; if every row is one label of an image, say rows=label"
    )
    found = read(tmp_path, rows="label")
    assert labels_of(found) == {f"{n}.png": {"a", "bc"[n % 2]} for n in range(10)}


def test_rows_of_0_and_1_in_a_cell_are_to_be_said(tmp_path: Path) -> None:
    rows = ["1 0 0", "0 1 1"]
    content = "path,label\n" + "".join(f"{n}.png,{rows[n % 2]}\n" for n in range(10))
    root = write(tmp_path, t=content)
    with pytest.raises(UsageError, match="line 2: the label '1 0 0' may be several"):
        read(root)
    with pytest.raises(UsageError, match="'1 0 0', which may be a row of 0 and 1, or class numb"):
        read(root, separator="space")
    found = read(root, separator="space", values="onehot")
    assert found.classes == ("0", "1", "2")
    assert labels_of(found)["1.png"] == {"1", "2"}
    (root / "classes.txt").write_text("a\nb\nc\n")
    assert labels_of(read(root, separator="space", values="onehot"))["1.png"] == {"b", "c"}
    (root / "classes.txt").write_text("a\nb\n")
    with pytest.raises(UsageError, match="2 class names, but 3 label columns"):
        read(root, separator="space", values="onehot")


@pytest.mark.parametrize(
    ("content", "parameters", "says"),
    [
        (b"", {}, "t.csv: the file is empty"),
        (b"path,label\n", {}, r"t\.csv: the table has no row below its header"),
        (b"path,label\na.png\n", {}, "t.csv, line 2: 1 cells, but there are 2 columns"),
        (b"path,label\na.png,x, y\n", {}, "line 2: 3 cells, but there are 2 columns; a cell that"),
        (b"path,label\n,x\n", {}, "line 2: the path of the image is missing"),
        (b"path,label\na.png,\n", {}, "line 2: the label is missing; leave the row out"),
        (b"path,label\na.png,nan\n", {}, "line 2: the label is missing"),
        (b"path,label\na.png,-1\n", {}, "line 2: the label is -1; class numbers begin at 0"),
        (b"path,label\na.png,0.5\n", {}, "line 2: the label is 0.5, which is no class"),
        (b"path,label\na.png,cat;dog\n", {}, "line 2: the label 'cat;dog' may be several"),
        (b"path,label\n/etc/passwd,x\n", {}, "line 2: .* is absolute, .*strip=FOLDER, of lists"),
        (b"path,label\n../a.png,x\n", {}, "line 2: .* has a '..' part"),
        (b'path,label\n"a.png,x\n', {}, "line 2: it is no row of a table"),
        (b'path,label\n"a"b.png,x\n', {}, "line 2: it is no row of a table"),
        (b"path,label\na\xff.png,x\n", {}, r"t\.csv: it is not in UTF-8"),
        ("path,label\na,x\n".encode("utf-16"), {}, "it is in UTF-16; save it as UTF-8"),
        (b"path,path\na,x\n", {}, "two columns are named 'path'"),
        (b"a,b\nx,y\n", {}, r"which column holds the paths of the images: path=COLUMN \(none is"),
        (b"path,b\nx,y\n", {}, r"which column holds the labels: labels=COLUMN \(none is named"),
        (b"path,file,b\nx,y,z\n", {}, "path=COLUMN .several could be meant; columns: path, file"),
        (b"path,label\nx,y\n", {"labels": "lable"}, "no such column; did you mean 'label'"),
        (b"path,label\nx,y\n", {"split": "part"}, "split=part, but there is no such column"),
        (b"path,label\nx,y\n", {"path": "t.csv"}, "the table itself is named with file=NAME"),
        (b"path,label\nx,y\n", {"file": "../t.csv"}, r"file=\.\./t\.csv: .* has a '\.\.' part"),
        (b"path,label\nx,y\n", {"file": "u.csv"}, r"u\.csv: cannot be read"),
        (b"path,a,b\nx,0,2\n", {"labels": "all"}, "line 2, column 'b': .* hold 0 or 1, found '2'"),
        (b"path,a,b\nx,0,-1\n", {"labels": "a+b"}, "column 'b': .* must hold 0 or 1, found '-1'"),
        (b"path,a,b\nx,0,\n", {"labels": "a..b"}, "column 'b': .* hold 0 or 1, found nothing"),
        (b"path,a,b\nx,0,1\n", {"labels": "a+a"}, "names a column twice, or a range that is empty"),
        (b"path,a,b\nx,0,1\n", {"labels": "b..a"}, "a range that is empty"),
        (b"path,a,b\nx,0,1\n", {"labels": "a+path"}, "holds the column of paths or splits"),
        (b"path,a\nx," + b"y" * 300_000, {"labels": "a"}, "it has more than 262,144 characters"),
        (b"path,label\nx," + b"y" * 300, {}, "line 2: a label of 300 characters"),
        (b"path,label,split\na,x,\n", {}, "line 2: the name of the split is missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, content: bytes, parameters: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        read(write(tmp_path, t=content), **parameters)


def test_which_table_is_meant(tmp_path: Path) -> None:
    write(tmp_path, a=TABLE, b=TABLE)
    with pytest.raises(UsageError, match=r"several tables \(a\.csv, b\.csv\), and .*file=NAME"):
        read(tmp_path)
    assert labels_of(read(tmp_path, file="b.csv")) == EXPECTED
    with pytest.raises(UsageError, match=r"expected a folder; name the table with csv:file=a\.csv"):
        CSVTable().home(tmp_path / "a.csv")


def test_images_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "im").mkdir()
    for number in range(10):
        pixels = np.full((6, 6, 3), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"im/{number}.png")
    data = CSVTable(crop=6).load(write(tmp_path, t=TABLE))
    pixels, labels = data.database.images[:], data.database.labels
    assert (pixels[:, 0, 0, 0] % 2 == labels[:, 0]).all()
    (tmp_path / "im/4.png").unlink()
    with pytest.raises(UsageError, match=r"4\.png: no such file \(.*t\.csv, line 6\)"):
        CSVTable(crop=6).load(tmp_path)
