"""Where a path ends and its labels begin, in lines that hold both."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from hashbench.data.lists.joint import parse_joint, split_line
from hashbench.errors import UsageError

LIST = Path("list.txt")


def slowly(line: str) -> tuple[str, str]:
    """The rule word by word: all of the short words 0 and 1 at the end, but never the first."""
    words = line.split(" ")
    labels = len(words)
    while labels > 1 and words[labels - 1] in ("0", "1"):
        labels -= 1
    return " ".join(words[:labels]), "".join(words[labels:])


def test_every_line_of_few_words_is_split_by_the_rule() -> None:
    words = ("0", "1", "10", "01", "a", "a1", "1.", "é0")
    for length in range(1, 5):
        for chosen in product(words, repeat=length):
            line = " ".join(chosen)
            name, labels = split_line(line.encode())
            assert (name.decode(), labels.decode()) == slowly(line)


def test_blanks_inside_a_path_stay_as_they_are() -> None:
    content = b"Caves/1. _max  default.jpg 0 1\r\nim/a 10.png\t1  0 \n  b c.png 1 1"
    paths, labels = parse_joint(content, LIST)
    assert paths == ("Caves/1. _max  default.jpg", "im/a 10.png", "b c.png")
    assert labels.tolist() == [[0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "list.txt: the file is empty"),
        (
            "a.png 0 1\nb 1 0 1\n",
            "list.txt, line 2: 3 label columns, but line 1 has 2; a path that",
        ),
        ("a.png 0 1\nb.png 1\n", "list.txt, line 2: 1 label columns, but line 1 has 2"),
        ("a.png 0 1\nb.png 2 1\n", "list.txt, line 2: labels must be 0 or 1, found '2'"),
        ("a.png 0 1\nb c.png 1\n", "list.txt, line 2: 1 label columns, but line 1 has 2"),
        ("a.png 0 1 2\n", "list.txt, line 1: labels must be 0 or 1, found '2'"),
        ("a.png 0,1\n", "list.txt, line 1: labels must be 0 or 1, found '0,1'"),
        ("a.png 0.0 1.0\n", "list.txt, line 1: labels must be 0 or 1, found '1.0'"),
        ("a.png 1 -1\n", "list.txt, line 1: labels must be 0 or 1, found '-1'"),
        ("a.png 10\n", "list.txt, line 1: labels must be 0 or 1, found '10'; class numbers"),
        (
            "a.png 7\n",
            "list.txt, line 1: labels must be 0 or 1, found '7'; class numbers are to be",
        ),
        ("0\n", "list.txt, line 1: no labels"),
        ("a.png 0 1\n\n", "list.txt, line 2: the line is empty"),
        ("a.png 0 1\rb.png 1 0\r", "list.txt, line 1: it has a carriage return inside"),
        ("a\u202e.png 0 1\n", r"list.txt, line 1: the path 'a\u202e.png' holds a control"),
        ("a.png 0 1\na.png " + "0 " * 20_000, "list.txt, line 2: it has 40,"),
        ("a.png" + " 0" * 2_001, "list.txt, line 1: 2,001 label columns, expected at most 2,000"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_joint(text.encode(), LIST)
    assert str(caught.value).startswith(says)
    assert len(str(caught.value)) < 250
