"""Which cells a selection takes, against the same said cell by cell; and what it does not hide."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.data.protocol import Protocol
from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.plugins import Access, Aim
from hashbench.results.asked import Asked
from hashbench.results.cell import CLEAN, AttackFacts, Cell, CellResult, Status
from hashbench.results.results import Results
from hashbench.results.selection import Selection, last_asked, selected

PROTOCOL = Protocol(
    dataset="fashion", train=9, query=3, database=9, classes=3, split="5" * 64, top_k=None
)
DEFENSES = ("none", "cgat", "cgat:weight=2")
ATTACKS = ("hag", "hag:steps=5", "noise")
RADII = ("8/255", "0.1")


def result_of(cell: Cell) -> CellResult:
    facts = AttackFacts(cell.attack.partition(":")[0], Aim.UNTARGETED, Access.GRADIENT)
    return CellResult(
        cell,
        Status.DONE,
        metrics={"map": 0.5},
        per_query=np.full(3, 0.5),
        attack=None if cell.attack == CLEAN else facts,
    )


def grid() -> list[Cell]:
    """Every combination, but for `noise` on the one defense and the larger radius of the other."""
    found = []
    for bits, defense, seed in itertools.product((16, 32), DEFENSES, (0, 1)):
        base = Cell(
            dataset="fashion",
            loss="csq",
            backbone="small-cnn",
            bits=bits,
            defense=defense,
            attack=CLEAN,
            eps="0",
            seed=seed,
            protocol=PROTOCOL.hash,
            training="7" * 64,
        )
        found.append(base)
        for attack, eps in itertools.product(ATTACKS, RADII):
            if (defense, attack) == ("cgat", "noise") or (defense, eps) == ("none", "0.1"):
                continue
            found.append(replace(base, attack=attack, eps=eps))
    return found


CELLS = grid()
ASKED = (
    Asked("results", "quick", frozenset(cell for cell in CELLS if cell.bits == 32)),
    Asked("results", "mine", frozenset(cell for cell in CELLS if cell.defense == "cgat")),
)
WHOLE = Results(
    tuple(map(result_of, CELLS)), {PROTOCOL.hash: PROTOCOL}, {"7" * 64: {}}, asked=ASKED
)


def answers(text: str, wanted: tuple[str, ...]) -> bool:
    """By canonical text, or by the plugin's name."""
    return not wanted or text in wanted or text.partition(":")[0] in wanted


def by_hand(selection: Selection) -> set[Cell]:
    """Cell by cell: attacked ones that are all of it, and the clean ones of their models."""
    named = {c for run in ASKED if run.suite in selection.suite for c in run.cells}
    of_model = {
        cell
        for cell in CELLS
        if answers(cell.defense, selection.defense)
        and (not selection.bits or str(cell.bits) in selection.bits)
        and (not selection.seed or str(cell.seed) in selection.seed)
        and (not selection.suite or cell in named)
    }
    if not selection.attack and not selection.eps:
        return of_model
    attacked = {
        cell
        for cell in of_model
        if cell.attack != CLEAN
        and answers(cell.attack, selection.attack)
        and (not selection.eps or any(cell.radius == eps for eps in selection.eps))
    }
    clean = {
        cell
        for cell in of_model
        if cell.attack == CLEAN
        and (
            CLEAN in selection.attack
            or any(replace(one, attack=CLEAN, eps="0") == cell for one in attacked)
        )
    }
    return attacked | clean


def some(*texts: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(texts), unique=True, max_size=2).map(tuple)


selections = st.builds(
    Selection,
    defense=some(*DEFENSES),
    attack=some(*ATTACKS, CLEAN),
    eps=some("8/255", "16/510", "1/10").map(lambda texts: tuple(map(Eps.parse, texts))),
    bits=some("16", "32"),
    seed=some("0", "1"),
    suite=some("quick", "mine"),
)


@given(selections)
def test_a_selection_takes_what_is_taken_by_hand(selection: Selection) -> None:
    expected = by_hand(selection)
    if not expected:
        with pytest.raises(UsageError, match="nothing in these results is all of this"):
            selected(WHOLE, selection)
        return
    part = selected(WHOLE, selection)
    assert {result.cell for result in part.cells} == expected
    # In their order, each once; and nothing is lost, only put aside.
    assert [r.cell for r in part.cells] == [cell for cell in CELLS if cell in expected]
    assert {r.cell for r in (*part.cells, *part.aside)} == set(CELLS)


@pytest.mark.parametrize(
    ("selection", "sentence"),
    [
        (
            Selection(attack=("hga",)),
            "no attack 'hga'; did you mean 'hag'? known: hag, hag:steps=5",
        ),
        (Selection(defense=("cgta",)), "no defense 'cgta'; did you mean 'cgat'?"),
        (Selection(attack=("sdha",)), "no attack 'sdha'"),
        (Selection(bits=("64",)), "no bits '64'"),
        (Selection(seed=("0,1",)), "for several, repeat the option --seed"),
        (Selection(eps=(Eps.parse("24/255"),)), "no eps '24/255'"),
        (Selection(suite=("qick",)), "no suite 'qick'; did you mean 'quick'?"),
        (Selection(dataset=("fasion",)), "did you mean 'fashion'?"),
        (Selection(loss=("csp",)), "did you mean 'csq'?"),
        (Selection(backbone=("smal-cnn",)), "did you mean 'small-cnn'?"),
    ],
)
def test_a_typo_names_the_nearest_that_the_results_hold(
    selection: Selection, sentence: str
) -> None:
    with pytest.raises(UsageError) as raised:
        selected(WHOLE, selection)
    assert sentence in str(raised.value)
    assert str(raised.value).startswith("these results hold no ")


@pytest.mark.parametrize("text", ["hag:steps=5", " hag:steps=5 ", "hag:steps=05"])
def test_another_spelling_of_the_same_plugin_is_found(text: str) -> None:
    part = selected(WHOLE, Selection(attack=(text,)))
    assert {r.cell.attack for r in part.cells} == {CLEAN, "hag:steps=5"}


def test_the_last_run_of_every_folder_is_what_was_asked_for_last() -> None:
    assert {r.cell for r in last_asked(WHOLE).cells} == ASKED[1].cells
    other = Asked("elsewhere", "zoo", frozenset(c for c in CELLS if c.defense == "none"))
    both = replace(WHOLE, asked=(*ASKED[:1], other, *ASKED[1:]))
    assert {r.cell for r in last_asked(both).cells} == ASKED[1].cells | other.cells
    assert last_asked(replace(WHOLE, asked=())).cells == WHOLE.cells


def test_what_is_done_elsewhere_speaks_for_the_flags_of_a_part() -> None:
    """A model that noise breaks is flagged in a report of the other attacks too."""
    base = CELLS[0]

    def cell(attack: str, value: float, access: Access) -> CellResult:
        facts = AttackFacts(attack, Aim.UNTARGETED, access)
        return CellResult(
            replace(base, attack=attack, eps="8/255"),
            Status.DONE,
            metrics={"map": value},
            per_query=np.full(3, value),
            attack=facts,
        )

    clean = CellResult(
        base,
        Status.DONE,
        metrics={"map": 0.7, "chance": 0.1, "floor": 0.05},
        per_query=np.full(3, 0.7),
    )
    noise = cell("noise", 0.3, Access.NONE)
    hag, sdha = (cell(name, 0.6, Access.GRADIENT) for name in ("hag", "sdha"))
    whole = replace(WHOLE, cells=(clean, hag, noise, sdha), asked=())
    part = selected(whole, Selection(attack=("hag",)))
    assert [r.cell.attack for r in part.cells] == [CLEAN, "hag"]
    (codes,) = ([flag.code for flag in flags] for flags in part.flags.values())
    assert (
        codes
        == [flag.code for flag in next(iter(whole.flags.values()))]
        == ["noise-beats-white-box"]
    )
    # And one that did not come to a result takes no evidence away.
    broken = replace(sdha, status=Status.FAILED, metrics={}, per_query=np.empty(0))
    lost = selected(replace(whole, cells=(clean, hag, noise, broken)), Selection(attack=("hag",)))
    assert lost.flags == part.flags
    assert not lost.failed
