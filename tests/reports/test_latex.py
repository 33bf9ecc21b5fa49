r"""LaTeX: what pdflatex makes of it, and that no name is anything but text."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench import plugins
from hashbench.reports.board.leaderboard import leaderboards
from hashbench.reports.text.tex import escape
from hashbench.results.results import Results

GOLDEN = Path(__file__).parent / "golden"
HOSTILE = (
    "</script><b>\\input{/etc/passwd}\\write18{touch owned}",
    "\u202eabc \u05d0\u05d1 مرحبا",
    "\x1b[31mred\x1b[0m",
    "=cmd|' /C calc'!A0",
    "x" * 300,
    "d:" + ",".join(f"parameter_{place}={place}" for place in range(30)),
    "\\\\ \\begin{a} \\end{document} ^^41",
    "$%&#_{}~^",
    "図表 😀 café Ångström Łódź ẞ ﬁ",
    "[2cm] * ?` !` -- --- `` '' << >> ,,",
    "% & # \n\n \\par",
)
SKIP = "pdflatex is not installed (texlive-latex-base, texlive-latex-recommended)"

FRAGMENT = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
\input{part}
\end{document}
"""


def page(results: Results, **parameters: object) -> str:
    form = plugins.get("format", "latex", **parameters)
    assert isinstance(form, plugins.Format)
    return form.render(results)


def compiled(folder: Path, text: str) -> str:
    """The log of a document; twice, as its labels ask for."""
    if shutil.which("pdflatex") is None:
        if os.environ.get("CI"):
            pytest.fail(SKIP)
        pytest.skip(SKIP)
    (folder / "page.tex").write_text(text, encoding="ascii")
    for _ in range(2):
        done = subprocess.run(
            ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "page"],
            cwd=folder,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    return (folder / "page.log").read_text(encoding="latin-1")


def assert_clean(log: str) -> None:
    for trouble in ("Overfull", "Missing character", "too large", "multiply defined", "undefined"):
        assert trouble not in log, re.findall(f".*{trouble}.*", log)[:3]


@pytest.mark.parametrize("name", ["latex.tex", "document.tex"])
def test_the_golden_pages_compile_with_nothing_outside(tmp_path: Path, name: str) -> None:
    text = (GOLDEN / name).read_text()
    if name == "latex.tex":
        (tmp_path / "part.tex").write_text(text)
        text = FRAGMENT
    assert_clean(compiled(tmp_path, text))


@pytest.mark.slow
@pytest.mark.parametrize("document", [True, False], ids=["document", "fragment"])
def test_any_name_compiles(new_book: Any, tmp_path: Path, document: bool) -> None:
    books = []
    for name in HOSTILE:
        book = new_book(dataset=name, loss=name, backbone=name)
        for defense in (name, "plain"):
            book.clean(defense, 0.7).attacked(defense, name, 0.3).targeted(defense, "t", 0.5, 0.2)
        book.lost("lost", "hag", name)
        books.append(book)
    # Every name at once, in rows and columns of one table, at two lengths.
    for bits in (16, 64):
        book = new_book(bits=bits)
        for name in HOSTILE:
            book.clean(name, 0.5)
            for attack in HOSTILE:
                book.attacked(name, attack, 0.25)
        books.append(book)
    results = books[0].results(*books[1:])
    text = page(results, document=document, details=True)
    assert text.isascii()
    if not document:
        (tmp_path / "part.tex").write_text(text)
        text = FRAGMENT
    log = compiled(tmp_path, text)
    for trouble in ("Missing character", "multiply defined", "undefined"):
        assert trouble not in log
    assert {path.suffix for path in tmp_path.iterdir()} <= {".tex", ".aux", ".log", ".pdf"}


@given(st.text())
def test_no_text_is_a_command_of_its_own(text: str) -> None:
    """What is left of an escaped text without the commands that escaping writes is plain."""
    known = (
        r"\\(textbackslash|textasciicircum|textasciitilde|textless|textgreater|textbar|allowbreak"
        r"|ss|ae|AE|oe|OE|o|O|l|L|i)\{\}|\\symbol\{\d+\}|\\[{}$%&#_]|\$\\(pm|times|d?dagger)\$"
        r"|\\[`'^~=u.\"rHvc]\{(\\?[A-Za-z])\}|\{[]!?[*,-]\}|-{2,3}"
    )
    found = escape(text)
    assert found.isascii()
    assert found.isprintable()
    rest = re.sub(known, "", found)
    assert not set(rest) & set("\\{}$%&#_^~<>|\"'`[]*!?,-"), found


def test_texts_apart_stay_apart() -> None:
    texts = [*HOSTILE, "a-b", "a--b", "a_b", "a\\_b", "café", "cafe", "U+56F4", "図"]
    assert len({escape(text) for text in texts}) == len(texts)


def test_the_best_is_bold_and_ties_of_rank_are_marked(book: Any) -> None:
    for defense, left in (("a", 0.4), ("b", 0.4), ("c", 0.3)):
        book.clean(defense, 0.7).attacked(defense, "hag", left)
    text = page(book.results())
    assert text.count(r"\textbf{40.0}") == 2
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and " & " in line]
    assert [row.partition(" & ")[0] for row in rows[1:4]] == ["1=", "1=", "3"]
    assert "has the same worst case" in text


def test_ranks_that_cannot_be_told_apart(quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (board,) = leaderboards(quick.results())
    first, second, third = board.rows
    rows = (replace(first, first_rank=1, last_rank=2), replace(second, first_rank=1), third)
    monkeypatch.setattr(
        "hashbench.reports.latex.leaderboards", lambda _: (replace(board, rows=rows),)
    )
    text = page(quick.results())
    assert "\n1--2 & " in text
    assert "cannot be told from those between them" in text


def test_a_fragment_needs_booktabs_alone_and_says_so(quick: Any) -> None:
    text = page(quick.results())
    assert text.startswith("% Tables by hashbench. To use them: \\usepackage{booktabs}")
    assert not re.search(r"\\(usepackage|documentclass)", text.replace(text.splitlines()[0], ""))
    assert "% hashbench run " in text
    assert text.count("\\begin{table}") == text.count("\\caption{") == text.count("\\label{") == 1


def test_every_table_has_a_label_of_its_own(rich_book: Any) -> None:
    labels = re.findall(r"\\label\{(.*)\}", page(rich_book.results(), details=True))
    assert len(labels) > 10
    assert len(set(labels)) == len(labels)


def test_a_table_that_is_too_wide_or_long_goes_on_in_another(book: Any, tmp_path: Path) -> None:
    for place in range(60):
        book.clean(f"defense-{place:02}", 0.7)
        for attack in range(14):
            book.attacked(f"defense-{place:02}", f"attack{attack}:steps=100", 0.3)
    text = page(book.results(), document=True)
    assert len(re.findall("part . of ", text)) >= 4
    for place in range(60):
        assert f"defense{{-}}{place:02}" in text
    assert_clean(compiled(tmp_path, text))
