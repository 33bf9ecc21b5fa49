"""What a conformance check found: pure data, never printed here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from hashbench.plugins.kinds import Kind


class Verdict(StrEnum):
    """How one check ended."""

    PASSED = "passed"
    FAILED = "failed"
    EXPECTED = "failed as declared"  # its author says so, and why
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Outcome:
    """One check's end.

    Attributes:
        check: the check's name.
        verdict: how it ended.
        sentence: the rule, where it held; else what was found, or why it was not tried.
        place: where, of one that failed: the file and line that raised, else those of the method
            that broke the rule, or of the class.
        traceback: of what was raised; empty where nothing was.
    """

    check: str
    verdict: Verdict
    sentence: str
    place: str = field(default="", compare=False)
    traceback: str = field(default="", compare=False, repr=False)

    @property
    def told(self) -> str:
        """The sentence and the place: `it raised KeyError: 'a' (my_attack.py:9)`."""
        told_already = not self.place or f"({self.place})" in self.sentence
        return self.sentence if told_already else f"{self.sentence} ({self.place})"


@dataclass(frozen=True)
class CheckReport:
    """All checks of one plugin, in the order in which they were tried.

    Attributes:
        kind: what was checked.
        subject: the plugin's canonical text, such as `hag:steps=20`.
        outcomes: one per check; a skipped one counts.
        warnings: what breaks no rule and is probably a slip, such as a misspelt method's name.
    """

    kind: Kind
    subject: str
    outcomes: tuple[Outcome, ...]
    warnings: tuple[str, ...] = ()

    def ended(self, verdict: Verdict) -> tuple[Outcome, ...]:
        """The outcomes of one verdict."""
        return tuple(outcome for outcome in self.outcomes if outcome.verdict is verdict)

    @property
    def passed(self) -> tuple[Outcome, ...]:
        """What held."""
        return self.ended(Verdict.PASSED)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """What did not."""
        return self.ended(Verdict.FAILED)

    @property
    def expected(self) -> tuple[Outcome, ...]:
        """What did not, as its author declares."""
        return self.ended(Verdict.EXPECTED)

    @property
    def skipped(self) -> tuple[Outcome, ...]:
        """What was not tried, each with its reason."""
        return self.ended(Verdict.SKIPPED)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    @property
    def counts(self) -> str:
        """Such as `27 passed, 0 failed, 3 skipped (2 label-free; 1 no GPU here)`."""
        text = f"{len(self.passed)} passed, {len(self.failed)} failed"
        if self.expected:
            text += f", {len(self.expected)} failed as declared"
        text += f", {len(self.skipped)} skipped"
        reasons = Counter(outcome.sentence for outcome in self.skipped)
        if reasons:
            text += " (" + "; ".join(f"{n} {why}" for why, n in reasons.most_common()) + ")"
        return text

    def raise_failures(self) -> None:
        """For an author's own test.

        Raises:
            AssertionError: something failed; names every failure.
        """
        if self.failed:
            lines = [f"{self.kind} '{self.subject}': {self.counts}"]
            lines += [f"  {outcome.check}: {outcome.told}" for outcome in self.failed]
            raise AssertionError("\n".join(lines))
