"""Which sanity flags the evidence raises: a rule for each code. Pure.

One model at one radius is judged. The file lies outside the rooms that make artifacts, as `flags`.
"""

from __future__ import annotations

from collections.abc import Iterator

from hashbench.eps import Norm
from hashbench.results.evidence import Evidence, Role, beside_more_steps, of_role
from hashbench.results.flags import (
    BEATEN_POINTS,
    DEPENDENT_ANSWERS,
    DEPENDENT_SHARE,
    FALLEN_SHARE,
    LEAST_AT_STAKE,
    LEAST_BIT_ENTROPY,
    NO_GRADIENT_SHARE,
    REACHED_SHARE,
    SATURATED_SHARE,
    UNBOUNDED,
    Code,
    Flag,
    least_distinct_codes,
    least_useful,
    margin,
)


def raised(evidence: Evidence) -> tuple[Flag, ...]:
    """The flags that the evidence raises, in the order of `Code`; none for an honest model."""
    return (
        *_attack_beats_certificate(evidence),
        *_clean_at_chance(evidence),
        *_collapsed_codes(evidence),
        *_stochastic_codes(evidence),
        *_batch_dependent_codes(evidence),
        *_batch_dependent_attack(evidence),
        *_eps_0_changes_codes(evidence),
        *_codes_alone(evidence),
        *_zero_gradients(evidence),
        *_saturated_outputs(evidence),
        *_beaten(evidence),
        *_larger_eps_helps(evidence),
        *_more_steps_help(evidence),
        *_unbounded_eps_stops_short(evidence),
        *_robust_at_chance(evidence),
    )


def _attack_beats_certificate(evidence: Evidence) -> Iterator[Flag]:
    worst = max(evidence.beaten, key=lambda one: one.proven - one.left, default=None)
    if worst is not None:
        others = len(evidence.beaten) - 1
        yield Flag(
            Code.ATTACK_BEATS_CERTIFICATE,
            f"{worst.words}: the proof or the attack is wrong, and no number of this model holds"
            + (f" (likewise of {others:,} more attacks and radii)" if others else ""),
        )


def _clean_at_chance(evidence: Evidence) -> Iterator[Flag]:
    if evidence.clean is None or evidence.chance is None:
        return
    line = least_useful(evidence.chance)
    if evidence.clean < line:
        yield Flag(
            Code.CLEAN_AT_CHANCE,
            f"its clean mAP, {_percent(evidence.clean)}, is at chance "
            f"({_percent(evidence.chance)}; {_percent(line)} or more is asked for): a model that "
            "retrieves nothing leaves an attack nothing to break",
        )


def _collapsed_codes(evidence: Evidence) -> Iterator[Flag]:
    least = least_distinct_codes(evidence.classes, evidence.bits)
    found = []
    if evidence.distinct_codes is not None and evidence.distinct_codes < least:
        found.append(
            f"{evidence.distinct_codes:.0f} distinct codes in the database, {least} or more are "
            f"asked for of {evidence.classes} classes in {evidence.bits} bits"
        )
    if evidence.bit_entropy is not None and evidence.bit_entropy < LEAST_BIT_ENTROPY:
        found.append(
            f"mean entropy of a bit {evidence.bit_entropy:.2f}, {LEAST_BIT_ENTROPY} or more is "
            "asked for"
        )
    if found:
        yield Flag(Code.COLLAPSED_CODES, f"its codes collapsed: {'; '.join(found)}")


def _stochastic_codes(evidence: Evidence) -> Iterator[Flag]:
    if evidence.unstable:
        yield Flag(
            Code.STOCHASTIC_CODES,
            f"{_share(evidence.unstable)} of the queries have another code when they are asked "
            "for a second time: each number here is that of one draw",
        )


def _batch_dependent_codes(evidence: Evidence) -> Iterator[Flag]:
    if _depends(evidence):
        yield Flag(
            Code.BATCH_DEPENDENT_CODES,
            f"{_share(evidence.dependent or 0.0)} of the queries that were asked in several "
            f"companies (more than {_share(DEPENDENT_SHARE)}) have a code that depends on which "
            "images are asked with them, or were asked before: other batches, other numbers",
        )


def _batch_dependent_attack(evidence: Evidence) -> Iterator[Flag]:
    if _depends(evidence) or evidence.unstable:
        return  # told already, and the cause of this one too
    worst = max(evidence.in_company, key=lambda one: one.dependent, default=None)
    if worst is not None and worst.dependent > DEPENDENT_ANSWERS:
        others = [one.name for one in evidence.in_company if one.dependent > DEPENDENT_ANSWERS]
        others.remove(worst.name)
        yield Flag(
            Code.BATCH_DEPENDENT_ATTACK,
            f"what {worst.name} makes of a query depends on which others are attacked with it, or "
            f"were before, for {_share(worst.dependent)} of those that were attacked again (more "
            f"than {_share(DEPENDENT_ANSWERS)}): its numbers are those of one way to cut the "
            "queries into batches" + (f"; likewise {', '.join(others)}" if others else ""),
        )


def _depends(evidence: Evidence) -> bool:
    return evidence.dependent is not None and evidence.dependent > DEPENDENT_SHARE


def _eps_0_changes_codes(evidence: Evidence) -> Iterator[Flag]:
    if evidence.unstable:
        return  # told already, and the cause of this one too
    if evidence.moved:
        yield Flag(
            Code.EPS_0_CHANGES_CODES,
            f"{_share(evidence.moved)} of the queries have another code after an attack of radius "
            "0, which changes no pixel",
        )
        return
    for cell in evidence.at_eps_0:
        if cell.flipped or (evidence.clean is not None and cell.value != evidence.clean):
            yield Flag(
                Code.EPS_0_CHANGES_CODES,
                f"{cell.name} at eps 0, which changes no pixel, turned {_share(cell.flipped)} of "
                f"the bits; its mAP is {100 * cell.value:.3f}"
                + ("" if evidence.clean is None else f", the clean one {100 * evidence.clean:.3f}"),
            )
            return


def _codes_alone(evidence: Evidence) -> Iterator[Flag]:
    if evidence.codes_alone:
        yield Flag(
            Code.CODES_ALONE,
            "the model gives no gradient, so it was attacked by its codes alone: what is left says "
            "nothing beside models that were attacked through theirs",
        )


def _zero_gradients(evidence: Evidence) -> Iterator[Flag]:
    if evidence.codes_alone:
        return  # told already, and the cause of this one too
    if evidence.zero_gradients is not None and evidence.zero_gradients > NO_GRADIENT_SHARE:
        yield Flag(
            Code.ZERO_GRADIENTS,
            f"{_share(evidence.zero_gradients)} of the queries give an attack no gradient to "
            f"follow (more than {_share(NO_GRADIENT_SHARE)})",
        )


def _saturated_outputs(evidence: Evidence) -> Iterator[Flag]:
    if evidence.saturated is not None and evidence.saturated > SATURATED_SHARE:
        yield Flag(
            Code.SATURATED_OUTPUTS,
            f"{_share(evidence.saturated)} of its outputs are exactly 1 or -1 (more than "
            f"{_share(SATURATED_SHARE)}): no gradient leads away from there",
        )


def _beaten(evidence: Evidence) -> Iterator[Flag]:
    """An attack without the model's gradients beats the strongest one that follows them."""
    best = evidence.strongest
    if best is None:
        return
    for code, role, what in (
        (Code.NOISE_BEATS_WHITE_BOX, Role.BLIND, "which never asks the model"),
        (Code.BLACK_BOX_BEATS_WHITE_BOX, Role.BLACK_BOX, "which sees codes alone"),
        (Code.TRANSFER_BEATS_WHITE_BOX, Role.TRANSFER, "which follows another model"),
    ):
        rivals = of_role(evidence.attacks, role)
        rival = min(rivals, key=lambda attack: (attack.value, attack.name), default=None)
        if rival is not None and rival.value < best.value - margin(evidence):
            yield Flag(
                code,
                f"{rival.name}, {what}, leaves {_percent(rival.value)}, and {best.name}, the "
                f"strongest attack with gradients, {_percent(best.value)}",
            )


def _larger_eps_helps(evidence: Evidence) -> Iterator[Flag]:
    best = evidence.strongest
    if best is None:
        return
    by_name = {attack.name: attack for attack in evidence.white_box}
    # What the strongest attack here makes up for says nothing against the model.
    found = [
        (smaller.value, smaller.name, smaller, by_name[smaller.name])
        for smaller in of_role(evidence.smaller, Role.WHITE_BOX)
        if smaller.name in by_name and best.value > smaller.value + margin(evidence)
    ]
    if found:
        _, _, smaller, larger = min(found, key=lambda pair: pair[:2])
        yield Flag(
            Code.LARGER_EPS_HELPS,
            f"{larger.name} leaves {_percent(larger.value)} at eps {larger.eps}, more than the "
            f"{_percent(smaller.value)} at eps {smaller.eps}, which the larger radius holds",
        )


def _more_steps_help(evidence: Evidence) -> Iterator[Flag]:
    best = evidence.strongest
    if best is None:
        return
    wide = margin(evidence)
    found = [
        (few.value - many.value, few.name, few, many)
        for few, many in beside_more_steps(evidence.white_box)
        if many.value > few.value + wide
        # Where another attack is the stronger one, these two are weak, and the model is not.
        and few.value <= best.value + wide
    ]
    if found:
        _, _, few, many = min(found, key=lambda pair: pair[:2])
        yield Flag(
            Code.MORE_STEPS_HELP,
            f"{many.name} leaves {_percent(many.value)} with {many.steps:g} steps, more than the "
            f"{_percent(few.value)} with {few.steps:g}, which no other attack makes up for",
        )


def _unbounded_eps_stops_short(evidence: Evidence) -> Iterator[Flag]:
    tried: list[tuple[str, float | None, float, float | None]] = []
    if evidence.probed is not None:
        probed = evidence.probed
        tried.append(("center PGD", probed.clean, probed.unbounded, probed.floor))
    best = evidence.strongest
    # How large an L2 ball is that holds every image depends on the number of pixels.
    if best is not None and best.eps.norm is Norm.LINF and float(best.eps) >= UNBOUNDED:
        tried.append((f"{best.name} at eps {best.eps}", evidence.clean, best.value, evidence.floor))
    for name, clean, value, floor in tried:
        if clean is None or floor is None or clean - floor < LEAST_AT_STAKE:
            continue
        if clean - value < REACHED_SHARE * (clean - floor):
            yield Flag(
                Code.UNBOUNDED_EPS_STOPS_SHORT,
                f"{name} may change every pixel at will and stops at {_percent(value)}, "
                f"{_share(max(0.0, (clean - value) / (clean - floor)))} of the way from "
                f"{_percent(clean)} to the floor, {_percent(floor)} "
                f"({_share(REACHED_SHARE)} or more is asked for)",
            )
            return


def _robust_at_chance(evidence: Evidence) -> Iterator[Flag]:
    clean, chance, floor, worst = (
        evidence.clean,
        evidence.chance,
        evidence.floor,
        evidence.worst_case,
    )
    if clean is None or chance is None or floor is None or worst is None:
        return
    if all(attack.role is Role.BLIND for attack in evidence.attacks):
        return
    line = least_useful(chance)
    # A minimum over attacks lies a little below chance even for a model without information.
    at_chance = chance - BEATEN_POINTS <= worst < line
    if at_chance and (clean < line or clean - worst <= FALLEN_SHARE * (clean - floor)):
        yield Flag(
            Code.ROBUST_AT_CHANCE,
            f"its worst case, {_percent(worst)}, is at chance ({_percent(chance)}; "
            f"{_percent(line)} or more is asked for), where a model without any information would "
            f"stand, and yet looks robust between its clean mAP, {_percent(clean)}, and its "
            f"floor, {_percent(floor)}",
        )


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _share(value: float) -> str:
    """A share in percent, as briefly as it can be told from 0 and from 1."""
    text = f"{100 * value:.1f}".removesuffix(".0")
    if text in ("0", "100") and value not in (0.0, 1.0):
        text = f"{100 * value:.2g}" if value < 0.5 else "more than 99.9"
    return f"{text} %"
