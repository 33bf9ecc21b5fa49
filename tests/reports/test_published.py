"""Files of published numbers: the shipped one against its source, and what is refused."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from hashbench import plugins
from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.plugins.parameters import canonical
from hashbench.reports.papers.published import (
    COLUMNS,
    Stated,
    known_numbers,
    load_published,
    shipped,
)

REFERENCE = Path(__file__).resolve().parents[2] / "../shared/reference/published.csv"
DATASETS = {"FLICKR-25K": "flickr25k", "NUS-WIDE": "nus-wide", "MS-COCO": "ms-coco"}
HEADER = ",".join(COLUMNS)
ROW = "P,1,flickr25k,1700,5000?,unknown,dph?,alexnet,16,none,hag:steps=2000?,8/255,map@5000,22.50"


def write(folder: Path, *lines: str, name: str = "p.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.skipif(not REFERENCE.is_file(), reason="no ../shared/reference/published.csv here")
def test_every_number_of_the_reference_ships_and_no_other() -> None:
    with REFERENCE.open(newline="", encoding="utf-8") as file:
        expected = [
            (
                row["source"],
                row["table"],
                DATASETS[row["dataset"]],
                int(row["bits"]),
                row["defense"],
                row["attack"],
                row["metric"],
                Decimal(row["percent"]),
            )
            for row in csv.DictReader(file)
        ]
    found = [
        (
            row.source,
            row.table,
            row.dataset,
            row.bits,
            row.defense.text.partition(":")[0],
            row.attack.text.partition(":")[0],
            row.metric,
            row.percent,
        )
        for row in shipped()
        if row.source == "SAAT (TIFS 2023)"
    ]
    assert len(expected) == len(set(expected)) == 204
    assert sorted(found) == sorted(expected)


def test_what_the_shipped_source_does_not_state_is_marked() -> None:
    rows = [row for row in shipped() if row.source == "SAAT (TIFS 2023)"]
    assert {(str(row.loss), str(row.backbone)) for row in rows} == {("dph?", "alexnet?")}
    sizes = {(row.dataset, str(row.queries), str(row.train), str(row.database)) for row in rows}
    assert sizes == {
        ("flickr25k", "1700?", "5000?", "23300?"),
        ("nus-wide", "2100?", "10500?", "193734?"),
        ("ms-coco", "5000?", "10000?", "117218?"),
    }
    radii = {(row.attack.text.partition(":")[0], str(row.eps)) for row in rows}
    assert radii == {
        ("none", "0"),
        *((name, "8/255") for name in ("hag", "sdha", "mainstay", "tha")),
        *((name, "8/255?") for name in ("p2p", "dhta")),
        ("pros-gan", "unknown"),
    }


@pytest.mark.parametrize(
    ("kind", "name", "preset"),
    [
        ("attack", "hag", "hag@published"),
        ("attack", "sdha", "sdha@published"),
        ("attack", "mainstay", "mainstay"),
        ("defense", "atrdh", "atrdh@saat"),
        ("defense", "saat", "saat@released"),
    ],
)
def test_shipped_parameters_are_those_of_the_presets(kind: str, name: str, preset: str) -> None:
    if name not in plugins.names(kind):
        pytest.skip(f"{kind} {name} is not installed")
    (text,) = {
        stated.text
        for row in shipped()
        for stated in (row.attack if kind == "attack" else row.defense,)
        if stated.text.partition(":")[0] == name
    }
    # Written as it stands in a cell, so that the two can be compared as texts.
    assert canonical(plugins.get(kind, text)) == text
    parameters = set(text.partition(":")[2].split(","))
    assert parameters <= set(canonical(plugins.get(kind, preset)).partition(":")[2].split(","))


def test_a_file_is_read_to_the_digit(tmp_path: Path) -> None:
    (row,) = load_published([write(tmp_path, HEADER, ROW)])
    assert (row.source, row.table, row.dataset, row.bits) == ("P", "1", "flickr25k", 16)
    assert row.queries == Stated("1700")
    assert row.train == Stated("5000", presumed=True)
    assert not row.database.known
    assert str(row.database) == "unknown"
    assert row.attack == Stated("hag:steps=2000", presumed=True)
    assert str(row.percent) == "22.50"
    assert row.radius == Eps.parse("8/255")


def test_files_of_spreadsheets_are_read(tmp_path: Path) -> None:
    """A byte order mark, DOS line ends, quotes, empty lines and blanks around values."""
    path = tmp_path / "p.csv"
    quoted = ROW.replace("none,hag", '"cgat:epochs=30,inner_steps=7", hag ')
    quoted = quoted.replace(" :steps=2000?", "")
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\r\n\r\n{quoted}\r\n,,,\r\n".encode())
    (row,) = load_published([path])
    assert row.defense.text == "cgat:epochs=30,inner_steps=7"
    assert row.attack.text == "hag"


def changed(column: str, value: str) -> str:
    fields = ROW.split(",")
    fields[COLUMNS.index(column)] = value
    return ",".join(fields)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (changed("percent", "22,5"), "15 fields, expected 14"),
        ("a,b", "2 fields, expected 14"),
        (changed("percent", "101"), "percent is '101', expected a number from 0 to 100"),
        (changed("percent", "100.01"), "percent is '100.01'"),
        (changed("percent", "-1"), "percent is '-1'"),
        (changed("percent", "nan"), "percent is 'nan'"),
        (changed("percent", "1e1"), "percent is '1e1'"),
        (changed("percent", "\u0663"), "percent is"),
        (changed("percent", "22.5 %"), "percent is '22.5 %'"),
        (changed("percent", ""), "percent is empty"),
        (changed("source", ""), "source is empty"),
        (changed("metric", "map@0"), "metric is 'map@0', expected map, map@5000, t-map"),
        (changed("metric", "mAP@5000"), "metric is 'mAP@5000'"),
        (changed("metric", "recall"), "metric is 'recall'"),
        (changed("bits", "16?"), "bits is '16?', expected a whole number"),
        (changed("bits", "0"), "bits is '0'"),
        (changed("queries", "many"), "queries is 'many', expected a number of images or 'unknown'"),
        (changed("database", "23,300"), "15 fields"),
        (
            changed("dataset", "flickr25k:size=64"),
            "dataset is 'flickr25k:size=64', expected a name",
        ),
        (changed("dataset", "unknown@"), "dataset: 'unknown@'"),
        (changed("defense", "unknown"), "defense is 'unknown', expected a plugin's name"),
        (changed("attack", "hag@published"), "attack is 'hag@published': write the preset's"),
        (changed("attack", "hag:steps"), "attack: 'hag:steps': 'steps' is not of the form"),
        (changed("eps", "8"), "eps is 8, but must lie from 0 to 1"),
        (changed("eps", "eight"), "eps is 'eight', but must be a fraction"),
        (changed("attack", "none"), "eps is '8/255', but clean queries (attack none) have eps 0"),
        ('"open', "no CSV"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line(tmp_path: Path, line: str, words: str) -> None:
    path = write(tmp_path, HEADER, changed("bits", "32"), "", line)
    with pytest.raises(UsageError) as error:
        load_published([path])
    assert str(error.value).startswith(f"{path}, line 4: ")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (HEADER.replace(",eps", ""), "missing: eps"),
        (HEADER.replace("percent", "value"), "missing: percent; unknown: value"),
        (HEADER.replace("source,table", "table,source"), "another order"),
        (HEADER + ",percent", "a column twice"),
        (ROW, "missing: source"),
    ],
)
def test_wrong_columns(tmp_path: Path, header: str, words: str) -> None:
    path = write(tmp_path, header, ROW)
    with pytest.raises(UsageError, match="line 1: expected the columns source,table,") as error:
        load_published([path])
    assert words in str(error.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.csv: cannot be read \(No such file"):
        load_published([tmp_path / "gone.csv"])
    with pytest.raises(UsageError, match="it is a folder, expected a file"):
        load_published([tmp_path])
    empty = write(tmp_path, "")
    with pytest.raises(UsageError, match="it is empty, expected the columns"):
        load_published([empty])
    empty.write_bytes(HEADER.encode() + b"\n\xff\xfe")
    with pytest.raises(UsageError, match=r"p\.csv: it is not in UTF-8"):
        load_published([empty])


def test_the_same_number_twice_counts_once_and_two_numbers_are_refused(tmp_path: Path) -> None:
    one = write(tmp_path, HEADER, ROW)
    two = write(tmp_path, HEADER, "", changed("percent", "22.5"), name="q.csv")
    assert len(load_published([one, one, two])) == 1
    three = write(tmp_path, HEADER, changed("percent", "22.51"), name="r.csv")
    with pytest.raises(UsageError) as error:
        load_published([one, three])
    assert str(error.value) == (
        f"{three}, line 2: percent is 22.51, but {one}, line 2 says 22.50 of the same conditions"
    )


def test_further_files_come_after_those_that_ship(tmp_path: Path) -> None:
    rows = known_numbers([write(tmp_path, HEADER, ROW)])
    assert rows[:-1] == shipped()
    assert rows[-1].source == "P"
