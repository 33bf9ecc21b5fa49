"""The command `cite`: of plugins, of results, of hashbench; and what it says of slips."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hashbench.cli.cite import bare, plugins_of
from hashbench.plugins import Access, Aim
from hashbench.plugins.bibliography import by_key, measure, references, software
from hashbench.plugins.bibtex import read_entries
from hashbench.plugins.kinds import Kind
from hashbench.results.cell import CLEAN, AttackFacts, Cell, CellResult, Status
from hashbench.results.load import load_results
from support.package import REPOSITORY

Command = Callable[..., subprocess.CompletedProcess[str]]

STORED = REPOSITORY / "tests/golden/format-3/results"


def keys(text: str) -> list[str]:
    """The keys of a BibTeX file, which has remarks between its entries."""
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("% "))
    return [entry.key for entry in read_entries(plain)]


def test_without_a_name_it_is_hashbench_and_its_measure(hashbench: Command) -> None:
    said = hashbench("cite")
    assert keys(said.stdout) == [software().key, measure().key]
    assert said.stderr == ""
    words = hashbench("cite", "--format", "text").stdout.splitlines()
    assert words[0] == f"hashbench: {software().words}"
    assert words[1].endswith(f"{measure().words} {measure().url}")


def test_names_presets_kinds_and_keys(hashbench: Command) -> None:
    said = hashbench(
        "cite", "hag@published", "attack/pgd-hamming:steps=5", "cgat", "li2016dpsh", "csq"
    )
    assert keys(said.stdout) == ["yang2020hag", "wang2023cgat", "li2016dpsh", "yuan2020csq"]
    assert "% attack/pgd-hamming, defense/cgat\n@inproceedings{wang2023cgat," in said.stdout
    assert keys(hashbench("cite", "hashbench").stdout) == ["hashbench"]


def test_a_file_of_it_compiles_to_the_same_entries(hashbench: Command, tmp_path: Path) -> None:
    assert hashbench("cite", "hag", "-o", "r.bib").stdout == ""
    assert (tmp_path / "r.bib").read_text() == hashbench("cite", "hag").stdout
    hashbench("cite", "hag", "-o", "r.txt")
    assert (tmp_path / "r.txt").read_text() == hashbench("cite", "hag", "--format", "text").stdout


def test_results_are_cited_whole(hashbench: Command) -> None:
    cells = load_results(STORED).cells
    said = hashbench("cite", "--results", STORED)
    found = keys(said.stdout)
    wanted = {one.key for kind, name in plugins_of(cells) for one in references(kind, name)}
    assert found[:2] == ["hashbench", measure().key]
    assert set(found[2:]) == wanted
    assert len(found) == len(set(found)) > 4
    # Each plugin of a cell is in a remark, or is said to have no source.
    for cell in {result.cell for result in cells}:
        for kind, name in (("dataset", cell.dataset), ("defense", cell.defense)):
            assert f"{kind}/{bare(name)}" in said.stdout + said.stderr
    more = hashbench("cite", "jpeg", "--results", STORED).stdout
    assert keys(more) == [*found, "dziugaite2016jpg", "guo2018transformations"]


def test_what_has_no_source_and_what_is_not_known(hashbench: Command) -> None:
    said = hashbench("cite", "noise")
    assert said.stdout == ""
    assert said.stderr == "Built on no other work, as their cards say: attack/noise\n"
    stored = hashbench("cite", "--results", STORED)
    assert "Not known here: dataset/tiny, attack/broken. Of a plugin of yours" in stored.stderr
    assert (
        "nothing of it has a source" in hashbench("cite", "noise", "-o", "n.bib", expect=2).stderr
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hga"], "there is no plugin or key 'hga'; did you mean 'hag'?"),
        (["wang2023cgta"], "did you mean 'wang2023cgat'?"),
        (["quick"], "'quick' is a suite: once it has run, 'hashbench cite --results FOLDER'"),
        (["atack/hag"], "no kind of plugin 'atack'; did you mean 'attack'?"),
        (["attack/hga"], "there is no attack 'hga'; did you mean 'hag'?"),
        (["--format", "bibtx"], "there is no format 'bibtx'; did you mean 'bibtex'?"),
        (["--results", "nowhere"], "folder nowhere: no such folder"),
        (["--results", "."], "no results in it"),
        (["hag", "-o", "."], "cannot write .: it is a folder"),
        (["hag", "-o", "no/r.bib"], "there is no folder no"),
        (["\x1b[2J"], "there is no plugin or key '\\x1b[2J'"),
    ],
)
def test_a_slip_is_told(hashbench: Command, words: list[str], told: str) -> None:
    said = hashbench("cite", *words, expect=2)
    assert told in said.stderr
    assert said.stdout == ""


PLUGINS = '''
from dataclasses import dataclass
from hashbench.plugins import Defense, WrappingDefense, defense

def declared(name, cite):
    @defense(name, cite=cite)
    @dataclass(frozen=True)
    class One(WrappingDefense):
        """One."""
        def wrap(self, model):
            return model
    return One

a = declared("words-only", "Me and you, 2031, https://me.org/p_q")
b = declared("whole-entry", "@article{me2031, author={Me}, title={T}, journal={J}, year=2031}")
c = declared("same-key", "@article{me2031, author={Me}, title={U}, journal={J}, year=2031}")
d = declared("our-key", "wang2023cgat")
'''


def test_plugins_of_others_are_cited_by_their_cards(hashbench: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGINS)
    names = ("words-only", "whole-entry", "same-key", "our-key")
    said = hashbench("cite", *names, "--plugin", "mine.py").stdout
    assert keys(said) == ["defense-words-only", "me2031", "me2031-2", "wang2023cgat"]
    assert "% defense/same-key\n@article{me2031-2," in said
    shown = hashbench("show", "whole-entry", "--plugin", "mine.py").stdout
    assert "source:   Me. T. J, 2031.\n" in shown
    assert "@article" not in shown
    shown = hashbench("show", "words-only", "--plugin", "mine.py").stdout
    assert "source:   Me and you, 2031, https://me.org/p_q\n" in shown
    assert "paper:" not in shown
    shown = hashbench("show", "our-key", "--plugin", "mine.py").stdout
    assert by_key()["wang2023cgat"].words in " ".join(shown.split())
    assert "source:   wang2023cgat" not in shown


def test_show_says_the_paper_with_its_link(hashbench: Command) -> None:
    said = hashbench("show", "hag").stdout
    paper = by_key()["yang2020hag"]
    assert f"paper:    {paper.words} {paper.url}\n" in said
    assert "bibtex:   hashbench cite attack/hag\n" in said
    assert "paper:" not in hashbench("show", "noise").stdout


def test_nothing_heavy_is_imported_for_a_name() -> None:
    program = (
        "import sys\nfrom hashbench.cli.app import app\n"
        "sys.argv = ['hashbench', 'cite', 'hag', 'resnet18', 'flickr25k']\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'pandas', 'matplotlib'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def result(attack: str, facts: AttackFacts | None, **other: str) -> CellResult:
    named = {"dataset": "lists:crop=64", "loss": "dpsh@saat", "defense": "none", **other}
    cell = Cell(
        **named, backbone="resnet18:weights=none", bits=8, attack=attack, eps="8/255", seed=0,
        protocol="p", training="t",
    )  # fmt: skip
    return CellResult(cell=cell, status=Status.DONE, attack=facts)


def test_the_plugins_of_cells_and_the_networks_that_attacks_follow() -> None:
    facts = AttackFacts(
        "transfer", Aim.UNTARGETED, Access.GRADIENT, transfers=True,
        parameters={"backbone": "vgg11:weights=none", "hashing_loss": None, "steps": 3},
    )  # fmt: skip
    plain = AttackFacts("x", Aim.UNTARGETED, Access.GRADIENT, parameters={"backbone": "alexnet"})
    cells = [
        result(CLEAN, None),
        result("transfer:backbone=vgg11", facts),
        result("x", plain, defense="cgat:weight=2.0"),
        result("x", plain, dataset="fashion"),
    ]
    assert plugins_of(cells) == [
        (Kind.DATASET, "lists"), (Kind.DATASET, "fashion"),
        (Kind.BACKBONE, "resnet18"), (Kind.BACKBONE, "vgg11"),
        (Kind.LOSS, "dpsh"),
        (Kind.DEFENSE, "none"), (Kind.DEFENSE, "cgat"),
        (Kind.ATTACK, "transfer"), (Kind.ATTACK, "x"),
    ]  # fmt: skip
