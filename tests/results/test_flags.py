"""Sanity flags: every rule just above and just below its threshold, and the page that explains."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.attacking import company, repeated
from hashbench.eps import Eps
from hashbench.results import flags
from hashbench.results.evidence import (
    AtEps0,
    Attacked,
    Beaten,
    Evidence,
    InCompany,
    Probed,
    Role,
    beside_more_steps,
)
from hashbench.results.flags import Code
from hashbench.results.judging import raised

PAGE = Path(__file__).resolve().parents[2] / "docs/flags.md"
TRIFLE = 1e-6
CHANCE, CLEAN, FLOOR = 0.1, 0.7, 0.05


def attack(
    name: str, value: float, role: Role = Role.WHITE_BOX, eps: str = "8/255", **more: Any
) -> Attacked:
    return Attacked(name, role, Eps.parse(eps), value, **more)


BEATEN = Beaten("pgd", Eps.parse("8/255"), Eps.parse("16/255"), 3, 0.5, 0.25, 2)


HONEST = Evidence(
    classes=10,
    bits=32,
    clean=CLEAN,
    chance=CHANCE,
    floor=FLOOR,
    distinct_codes=812.0,
    bit_entropy=0.9,
    saturated=0.007,
    zero_gradients=0.0,
    unstable=0.0,
    moved=0.0,
    dependent=0.0,
    in_company=(InCompany("pgd", 0.0), InCompany("noise", 0.0)),
    probed=Probed(0.71, 0.06, 0.05),
    at_eps_0=(AtEps0("pgd", CLEAN), AtEps0("noise", CLEAN)),
    attacks=(
        attack("pgd", 0.4),
        attack("weak", 0.72),
        attack("noise", 0.69, Role.BLIND),
        attack("search", 0.6, Role.BLACK_BOX),
        attack("transfer", 0.5, Role.TRANSFER),
    ),
    smaller=(attack("pgd", 0.55, eps="4/255"), attack("weak", 0.71, eps="4/255")),
    worst_case=0.39,
)


def codes(evidence: Evidence = HONEST, **changes: Any) -> list[Code]:
    return [flag.code for flag in raised(replace(evidence, **changes))]


def test_an_l2_ball_of_radius_1_is_not_without_a_bound() -> None:
    weak = CLEAN - 0.1
    for eps, up in (("1", [Code.UNBOUNDED_EPS_STOPS_SHORT]), ("l2:1", []), ("l2:9", [])):
        assert codes(attacks=(attack("pgd", weak, eps=eps),), smaller=()) == up


def test_honest_evidence_raises_nothing() -> None:
    assert raised(HONEST) == ()


def test_no_evidence_raises_nothing() -> None:
    assert raised(Evidence(classes=10, bits=32)) == ()


LINE = CHANCE + 0.05 * (1 - CHANCE)
MARGIN = 0.01 * (CLEAN - FLOOR)
BEST = 0.4
HALF = CLEAN - 0.5 * (CLEAN - FLOOR)


def with_attack(*others: Attacked) -> dict[str, Any]:
    """The honest attacks, those of the same names and roles replaced."""
    names = {other.name for other in others}
    kept = tuple(one for one in HONEST.attacks if one.name not in names)
    return {"attacks": (*kept, *others)}


def steps(few: float, many: float) -> dict[str, Any]:
    return with_attack(
        attack("pgd:steps=20", few, steps=20, others="pgd"),
        attack("pgd", many, steps=100, others="pgd"),
    )


@pytest.mark.parametrize(
    ("code", "harmless", "harmful"),
    [
        (
            Code.CLEAN_AT_CHANCE,
            {"clean": LINE + TRIFLE, "at_eps_0": (), "worst_case": 0.02},
            {"clean": LINE - TRIFLE, "at_eps_0": (), "worst_case": 0.02},
        ),
        (Code.COLLAPSED_CODES, {"distinct_codes": 5.0}, {"distinct_codes": 4.0}),
        (Code.COLLAPSED_CODES, {"bit_entropy": 0.1}, {"bit_entropy": 0.1 - TRIFLE}),
        (Code.STOCHASTIC_CODES, {"unstable": 0.0}, {"unstable": TRIFLE}),
        (Code.STOCHASTIC_CODES, {}, {"unstable": 0.5, "moved": 0.5}),  # told once
        (Code.BATCH_DEPENDENT_CODES, {"dependent": 0.02}, {"dependent": 0.02 + TRIFLE}),
        (
            Code.BATCH_DEPENDENT_ATTACK,
            {"in_company": (InCompany("pgd", 0.25), InCompany("targeted", 0.25))},
            {"in_company": (InCompany("pgd", 0.25), InCompany("targeted", 0.25 + TRIFLE))},
        ),
        (  # the model's fault is not its attacks'
            Code.BATCH_DEPENDENT_CODES,
            {"in_company": ()},
            {"dependent": 0.9, "in_company": (InCompany("pgd", 1.0),)},
        ),
        (
            Code.STOCHASTIC_CODES,
            {"in_company": ()},
            {"unstable": 0.5, "in_company": (InCompany("pgd", 1.0),)},
        ),
        (
            Code.CODES_ALONE,
            {"codes_alone": False},
            {"codes_alone": True, "zero_gradients": 1.0},  # told once
        ),
        (Code.EPS_0_CHANGES_CODES, {"moved": 0.0}, {"moved": TRIFLE}),
        (
            Code.EPS_0_CHANGES_CODES,
            {"at_eps_0": (AtEps0("pgd", CLEAN),)},
            {"at_eps_0": (AtEps0("noise", CLEAN), AtEps0("pgd", CLEAN - 1e-12))},
        ),
        (
            # Other codes, and by chance the same mAP.
            Code.EPS_0_CHANGES_CODES,
            {"at_eps_0": (AtEps0("pgd", CLEAN, 0.0),)},
            {"at_eps_0": (AtEps0("pgd", CLEAN, 1e-5),)},
        ),
        (Code.ZERO_GRADIENTS, {"zero_gradients": 0.1}, {"zero_gradients": 0.1 + TRIFLE}),
        (Code.SATURATED_OUTPUTS, {"saturated": 0.25}, {"saturated": 0.25 + TRIFLE}),
        *(
            (
                code,
                with_attack(attack(name, BEST - MARGIN + TRIFLE, role)),
                with_attack(attack(name, BEST - MARGIN - TRIFLE, role)),
            )
            for code, name, role in (
                (Code.NOISE_BEATS_WHITE_BOX, "noise", Role.BLIND),
                (Code.BLACK_BOX_BEATS_WHITE_BOX, "search", Role.BLACK_BOX),
                (Code.TRANSFER_BEATS_WHITE_BOX, "transfer", Role.TRANSFER),
            )
        ),
        (
            Code.LARGER_EPS_HELPS,
            {"smaller": (attack("pgd", BEST - MARGIN + TRIFLE, eps="4/255"),)},
            {"smaller": (attack("pgd", BEST - MARGIN - TRIFLE, eps="4/255"),)},
        ),
        (
            Code.MORE_STEPS_HELP,
            steps(0.4, 0.4 + MARGIN - TRIFLE),
            steps(0.4, 0.4 + MARGIN + TRIFLE),
        ),
        (
            Code.UNBOUNDED_EPS_STOPS_SHORT,
            {"probed": Probed(0.8, 0.8 - 0.75 * 0.6 - TRIFLE, 0.2)},
            {"probed": Probed(0.8, 0.8 - 0.75 * 0.6 + TRIFLE, 0.2)},
        ),
        (
            Code.UNBOUNDED_EPS_STOPS_SHORT,
            {"attacks": (attack("pgd", CLEAN - 0.75 * 0.65 - TRIFLE, eps="1"),), "smaller": ()},
            {"attacks": (attack("pgd", CLEAN - 0.75 * 0.65 + TRIFLE, eps="1"),), "smaller": ()},
        ),
        (
            # Chance so high that the worst case lies in the upper half.
            Code.ROBUST_AT_CHANCE,
            {"chance": 0.5, "worst_case": 0.525 + TRIFLE},
            {"chance": 0.5, "worst_case": 0.525 - TRIFLE},
        ),
        (
            Code.ROBUST_AT_CHANCE,
            {"chance": 0.5, "worst_case": 0.495 - TRIFLE},
            {"chance": 0.5, "worst_case": 0.495 + TRIFLE},
        ),
        (Code.ATTACK_BEATS_CERTIFICATE, {"beaten": ()}, {"beaten": (BEATEN,)}),
        (
            Code.ROBUST_AT_CHANCE,
            {"chance": HALF, "worst_case": HALF - TRIFLE},
            {"chance": HALF, "worst_case": HALF + TRIFLE},
        ),
    ],
)
def test_each_flag_just_below_and_just_above_its_threshold(
    code: Code, harmless: dict[str, Any], harmful: dict[str, Any]
) -> None:
    assert codes(**harmless) == []
    assert codes(**harmful) == [code]


def test_every_code_has_such_a_case() -> None:
    (mark,) = getattr(test_each_flag_just_below_and_just_above_its_threshold, "pytestmark")  # noqa: B009
    assert {case[0] for case in mark.args[1]} == set(Code)


@pytest.mark.parametrize(
    ("chance", "line"),
    # 5 % of what lies between chance and 1, but two points at least.
    [(0.1, 0.1 + 0.05 * 0.9), (0.327, 0.327 + 0.05 * 0.673), (0.6, 0.62), (0.9, 0.92)],
)
def test_the_line_of_a_useful_model(chance: float, line: float) -> None:
    assert flags.least_useful(chance) == pytest.approx(line, abs=1e-12)


@pytest.mark.parametrize(
    ("classes", "bits", "least"),
    [(10, 32, 5), (10, 2, 2), (10, 1, 2), (1, 32, 2), (3, 32, 2), (80, 16, 40), (1000, 8, 128)],
)
def test_how_many_distinct_codes_are_asked_for(classes: int, bits: int, least: int) -> None:
    assert flags.least_distinct_codes(classes, bits) == least


def test_the_margin_is_half_a_point_where_little_is_at_stake() -> None:
    assert flags.margin(HONEST) == pytest.approx(0.0065)
    assert flags.margin(replace(HONEST, floor=0.5)) == 0.005
    assert flags.margin(replace(HONEST, floor=None)) == 0.005


def test_an_attack_below_a_proof_is_told_with_its_query_and_both_values() -> None:
    other = replace(BEATEN, attack="hag", left=0.49, queries=1)
    (flag,) = raised(replace(HONEST, beaten=(other, BEATEN)))
    assert flag.words.startswith(
        "pgd at eps 8/255 leaves query 3 an average precision of 25 %, and 50 % are proven at eps "
        "16/255; so it is for 1 more: "
    )
    assert flag.words.endswith("(likewise of 1 more attacks and radii)")


# Comparisons of attacks.


def test_the_strongest_white_box_attack_speaks_for_the_gradients() -> None:
    """One that does less than noise is a weak attack, and not a masked model."""
    weak = attack("hag", 0.9)
    assert codes(**with_attack(weak)) == []
    assert codes(attacks=(weak, attack("noise", 0.69, Role.BLIND))) == [Code.NOISE_BEATS_WHITE_BOX]


def test_without_an_attack_by_gradients_there_is_nothing_to_beat() -> None:
    assert codes(attacks=(attack("noise", 0.1, Role.BLIND), attack("s", 0.1, Role.BLACK_BOX))) == []


def test_nothing_is_compared_with_a_part_of_the_white_box_attacks() -> None:
    """The strong one failed, so that the weak one seems to be the model's best enemy."""
    part: Any = {"attacks": (attack("hag", 0.9), attack("noise", 0.69, Role.BLIND))}
    assert codes(whole=False, **part) == []
    assert codes(whole=True, **part) == [Code.NOISE_BEATS_WHITE_BOX]


def test_a_weak_attack_that_gets_worse_with_the_radius_is_made_up_for() -> None:
    smaller = (attack("weak", 0.6, eps="4/255"), attack("pgd", 0.5, eps="4/255"))
    assert codes(smaller=smaller) == []
    # What does less than it did at the smaller radius, with nothing that does more.
    assert codes(attacks=(attack("weak", 0.72),), smaller=smaller) == [Code.LARGER_EPS_HELPS]


def test_radii_are_compared_for_one_attack_alone() -> None:
    other = (attack("auto", 0.2, eps="4/255"), attack("noise", 0.1, Role.BLIND, eps="4/255"))
    assert codes(smaller=other) == []


def test_two_weak_attacks_that_differ_in_steps_are_made_up_for() -> None:
    few = attack("hag:steps=20", 0.5, steps=20, others="hag")
    many = attack("hag", 0.6, steps=100, others="hag")
    assert codes(**with_attack(few, many)) == []
    assert codes(attacks=(few, many)) == [Code.MORE_STEPS_HELP]


def test_steps_are_compared_only_where_nothing_else_differs() -> None:
    few = attack("pgd:steps=20", 0.3, steps=20, others="pgd, 20 steps of 2/255")
    many = attack("pgd", 0.4, steps=100, others="pgd, 100 steps of 1/255")
    assert codes(**with_attack(few, many)) == []
    assert codes(**with_attack(few, replace(many, others=few.others))) == [Code.MORE_STEPS_HELP]
    assert codes(**with_attack(few, replace(many, steps=None, others=few.others))) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["pgd", "hag"]),
            st.none() | st.integers(1, 4),
            st.sampled_from([0.1, 0.2, 0.3, 0.4]),
        ),
        max_size=12,
    )
)
def test_more_steps_are_found_as_pair_by_pair(drawn: list[tuple[str, int | None, float]]) -> None:
    """Every attack that has a rival of more steps stands once, beside one that leaves the most."""
    tried = [
        attack(f"{others}-{place}", value, steps=steps, others=others)
        for place, (others, steps, value) in enumerate(drawn)
    ]
    expected = {}
    for few in tried:
        rivals = [
            many.value
            for many in tried
            if few.others == many.others and (few.steps or 9) < (many.steps or 0)
        ]
        if rivals:
            expected[few.name] = max(rivals)
    found = list(beside_more_steps(tried))
    assert {few.name: many.value for few, many in found} == expected
    assert len(found) == len(expected)
    for few, many in found:
        assert few.others == many.others
        assert (few.steps or 0) < (many.steps or 0)


def test_no_way_to_go_is_no_way_that_was_not_gone() -> None:
    assert codes(probed=Probed(0.1, 0.1, 0.1)) == []
    assert codes(probed=Probed(0.1199, 0.1199, 0.1)) == []
    assert codes(probed=Probed(0.1201, 0.1201, 0.1)) == [Code.UNBOUNDED_EPS_STOPS_SHORT]


# Robust at chance: numbers that were measured or published.


@pytest.mark.parametrize(
    ("clean", "chance", "floor", "worst", "is_up"),
    [
        (0.756, 0.1008, 0.0523, 0.108, False),  # fashion, undefended, weak attacks
        (0.756, 0.1008, 0.0523, 0.085, False),  # the same, strong ones
        (0.763, 0.1008, 0.0523, 0.33, False),  # fashion, atrdh
        (0.536, 0.101, 0.05, 0.105, False),  # cifar10-mini, atrdh: broken, in passing
        (0.7007, 0.534, 0.148, 0.5376, True),  # SAAT on FLICKR-25K, 64 bits
        (0.6106, 0.50, 0.119, 0.5020, True),  # SAAT on NUS-WIDE, if chance is 50
        (0.6106, 0.452, 0.119, 0.5020, False),  # ... and if it is 45
        (0.7229, 0.534, 0.148, 0.3339, False),  # ATRDH on FLICKR-25K: below chance
        (0.7342, 0.534, 0.148, 0.49, False),  # below chance, less than half of the way
    ],
)
def test_robust_at_chance_on_known_numbers(
    clean: float, chance: float, floor: float, worst: float, is_up: bool
) -> None:
    evidence = replace(
        HONEST, clean=clean, chance=chance, floor=floor, worst_case=worst, at_eps_0=(), smaller=()
    )
    assert codes(replace(evidence, attacks=(attack("pgd", worst),))) == (
        [Code.ROBUST_AT_CHANCE] if is_up else []
    )


def test_a_constant_code_is_at_chance_with_and_without_an_attack() -> None:
    constant = replace(
        HONEST,
        clean=CHANCE,
        floor=CHANCE,
        distinct_codes=1.0,
        bit_entropy=0.0,
        probed=Probed(CHANCE, CHANCE, CHANCE),
        at_eps_0=(),
        attacks=(attack("pgd", CHANCE), attack("noise", CHANCE, Role.BLIND)),
        smaller=(attack("pgd", CHANCE, eps="4/255"),),
        worst_case=CHANCE,
    )
    expected = [Code.CLEAN_AT_CHANCE, Code.COLLAPSED_CODES, Code.ROBUST_AT_CHANCE]
    assert codes(constant) == expected
    # Few codes instead of one: the minimum over attacks lies a little lower.
    assert codes(constant, worst_case=CHANCE - 0.004) == expected


def test_noise_alone_is_no_attack_to_be_robust_against() -> None:
    noise = attack("noise", 0.51, Role.BLIND)
    assert codes(chance=0.5, worst_case=0.51, attacks=(noise,)) == []


@given(
    values=st.lists(st.floats(0.0, 1.0), min_size=5, max_size=5),
    clean=st.floats(0.0, 1.0),
    floor=st.floats(0.0, 1.0),
)
def test_an_evaluation_that_is_in_order_raises_no_comparison(
    values: list[float], clean: float, floor: float
) -> None:
    """Whatever the numbers: gradients before all else, larger radius and more steps lower."""
    best, shorter, black_box, noise, small = sorted(values)
    evidence = replace(
        HONEST,
        clean=clean,
        floor=floor,
        attacks=(
            attack("pgd", best, steps=100, others="pgd"),
            attack("pgd:steps=7", shorter, steps=7, others="pgd"),
            attack("search", black_box, Role.BLACK_BOX),
            attack("transfer", black_box, Role.TRANSFER),
            attack("noise", noise, Role.BLIND),
        ),
        smaller=(attack("pgd", small, eps="4/255"),),
    )
    compared = {code for code in Code if "white-box" in code or code.endswith(("helps", "help"))}
    assert len(compared) == 5
    assert not compared & set(codes(evidence))


def test_sentences_hold_their_numbers() -> None:
    (flag,) = raised(replace(HONEST, dependent=0.93))
    assert flag.words.startswith("93 % of the queries that were asked in several companies (more ")
    both = (InCompany("pgd", 0.5), InCompany("hag", 1.0), InCompany("noise", 0.0))
    (flag,) = raised(replace(HONEST, in_company=both))
    assert flag.words.startswith("what hag makes of a query depends on which others are attacked")
    assert "for 100 % of those that were attacked again (more than 25 %)" in flag.words
    assert flag.words.endswith("; likewise pgd")
    (flag,) = raised(replace(HONEST, zero_gradients=0.931))
    assert flag.words == (
        "93.1 % of the queries give an attack no gradient to follow (more than 10 %)"
    )
    (flag,) = raised(replace(HONEST, **with_attack(attack("noise", 0.31, Role.BLIND))))
    assert flag.words == (
        "noise, which never asks the model, leaves 31.0, and pgd, the strongest attack with "
        "gradients, 40.0"
    )
    (flag,) = raised(
        replace(
            HONEST,
            smaller=tuple(attack("pgd", v, eps=e) for v, e in ((0.3, "2/255"), (0.35, "4/255"))),
        )
    )
    assert flag.words.startswith("pgd leaves 40.0 at eps 8/255, more than the 30.0 at eps 2/255")
    (flag,) = raised(replace(HONEST, probed=Probed(0.7, 0.6, 0.2)))
    assert "stops at 60.0, 20 % of the way from 70.0 to the floor, 20.0 (75 %" in flag.words
    (flag,) = raised(replace(HONEST, unstable=1 / 30_000))
    assert flag.words.startswith("0.0033 % of the queries have another code")
    (flag,) = raised(replace(HONEST, unstable=29_999 / 30_000))
    assert flag.words.startswith("more than 99.9 % of the queries")


# The page.

PARTS = ("Raised if", "What it means", "What to do")


def sections() -> dict[str, dict[str, str]]:
    """The parts of each section of the page, by its heading."""
    found = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        pieces = re.split(r"^\*\*([^*]+)\*\* ", text, flags=re.MULTILINE)
        found[heading] = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    return found


def test_every_code_has_its_section_with_three_parts_and_there_is_no_other() -> None:
    found = sections()
    assert list(found) == [str(code) for code in Code]
    for parts in found.values():
        assert tuple(parts) == PARTS
        assert all(len(text.split()) >= 3 for text in parts.values())


def test_a_code_points_to_its_section() -> None:
    # GitHub makes an anchor of a heading: lower case, blanks to hyphens, nothing else here.
    assert {code.page for code in Code} == {f"docs/flags.md#{name}" for name in sections()}
    assert all(re.fullmatch(r"[a-z0-9-]+", code) for code in Code)


def percent(share: float) -> str:
    return f"{100 * share:g} %"


def points(value: float) -> str:
    return f"{100 * value:g} points"


THRESHOLDS: dict[Code, list[str]] = {
    Code.CLEAN_AT_CHANCE: [points(flags.CHANCE_POINTS), percent(flags.CHANCE_SHARE)],
    Code.COLLAPSED_CODES: [f"below {flags.LEAST_BIT_ENTROPY}"],
    Code.BATCH_DEPENDENT_CODES: [
        percent(flags.DEPENDENT_SHARE),
        f"{company.ASKED} queries",
        f"{company.ROUNDING:g} of",
        f"{Fraction(company.ROUNDING_MIXED)} in",
    ],
    Code.BATCH_DEPENDENT_ATTACK: [
        percent(flags.DEPENDENT_ANSWERS),
        f"again, {repeated.ASKED} of",
        f"and {repeated.ALONE} of",
        f"{repeated.APART} of",
        f"{repeated.STRENGTH:g} times",
        percent(repeated.TURNED),
    ],
    Code.ZERO_GRADIENTS: [percent(flags.NO_GRADIENT_SHARE)],
    Code.SATURATED_OUTPUTS: [percent(flags.SATURATED_SHARE)],
    Code.UNBOUNDED_EPS_STOPS_SHORT: [
        percent(flags.REACHED_SHARE),
        points(flags.LEAST_AT_STAKE),
        f"eps {flags.UNBOUNDED:g}",
    ],
    Code.ROBUST_AT_CHANCE: [points(flags.BEATEN_POINTS), percent(flags.FALLEN_SHARE)],
}
OTHER_NUMBERS = {
    # Worked examples, and what is no constant but part of a definition.
    Code.CLEAN_AT_CHANCE: ["100", "14.5", "10", "36", "33"],
    Code.COLLAPSED_CODES: ["2"],
    Code.BATCH_DEPENDENT_CODES: ["16"],  # of bfloat16
    Code.EPS_0_CHANGES_CODES: ["0", "0"],
    Code.ZERO_GRADIENTS: ["0"],
    Code.SATURATED_OUTPUTS: ["1", "1", "32"],
}


def numbers(text: str) -> list[str]:
    return re.findall(r"\d+(?:\.\d+)?", text)


@pytest.mark.parametrize("code", list(Code))
def test_thresholds_on_the_page_are_those_of_the_code(code: Code) -> None:
    text = " ".join(sections()[code]["Raised if"].split())
    expected = THRESHOLDS.get(code, [])
    for threshold in expected:
        assert threshold in text
    known = [number for part in expected for number in numbers(part)]
    assert sorted(numbers(text)) == sorted([*known, *OTHER_NUMBERS.get(code, [])])


def test_the_margin_on_the_page_is_that_of_the_code() -> None:
    head = " ".join(PAGE.read_text(encoding="utf-8").partition("## ")[0].split())
    assert (
        f"**The margin**, which honest attacks may differ by, is {points(flags.BEATEN_POINTS)}, or "
        f"{percent(flags.BEATEN_SHARE)} of what lies between clean mAP and floor"
    ) in head


def test_half_a_code_per_class_is_what_the_page_says() -> None:
    assert flags.CODES_PER_CLASS == 0.5
    assert "half the number of classes" in sections()[Code.COLLAPSED_CODES]["Raised if"]
    assert f"{100 * flags.least_useful(0.10):.1f}" == "14.5"
    assert f"{100 * flags.least_useful(0.327):.0f}" == "36"
