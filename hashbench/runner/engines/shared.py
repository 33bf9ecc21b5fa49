"""A schedule that other runs work through too: a step is given out once it is this run's alone.

The one place where runs that share a folder meet. Engines and their hands know nothing of it: for
them it is a schedule, some of whose steps are suddenly done.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Final

from typing_extensions import override

from hashbench.characters import counted
from hashbench.errors import NoRoomError, WriteError
from hashbench.results.claims import Claims
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import Step

SECONDS_BETWEEN_LOOKS: Final = 1.0
"""How often the steps that others hold are looked at: as many as others make at the same time."""


class SharedSchedule(Schedule):
    """Steps that are claimed before they are given out.

    One that another run holds waits apart, as if it ran here. Once nobody holds it, it is claimed,
    and looked for in the store: what is there is done, and told as `Reporter.elsewhere`. What the
    other run could not make is tried here too, once, since a step may fail for what a machine
    lacks: so a run ends when every step of its plan is there, or failed here.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        done: Iterable[str],
        *,
        claims: Claims,
        is_there: Callable[[Step], bool],
        reporter: Reporter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin a run.

        Args:
            steps: as for `Schedule`.
            done: as for `Schedule`.
            claims: of this run.
            is_there: whether what a step makes is in the store.
            reporter: told of steps that other runs made.
            clock: gives seconds.
        """
        super().__init__(steps, done)
        self._claims = claims
        self._is_there = is_there
        self._reporter = reporter
        self._clock = clock
        self._elsewhere: dict[str, Step] = {}
        self._next_look = 0.0
        self._said = False

    @property
    def elsewhere(self) -> int:
        """How many steps other runs held when they were last looked at."""
        return len(self._elsewhere)

    @override
    def next(
        self, wanted: Callable[[Step], bool] = lambda _: True, *, near: str | None = None
    ) -> Step | None:
        """As for `Schedule`; the step is then claimed by this run.

        Raises:
            NoRoomError: no claim can be written for lack of space, so no artifact could be.
            WriteError: no claim can be written for another reason.
        """
        self._look()
        while (step := super().next(wanted, near=near)) is not None:
            if self._claimed(step):
                self._said = False
                return step
        self._say_idle()
        return None

    @override
    def put_back(self, step: Step) -> None:
        self._claims.release(step.key)
        super().put_back(step)

    @override
    def succeed(self, step: Step) -> None:
        self._claims.release(step.key)
        super().succeed(step)

    @override
    def fail(self, step: Step, reason: str) -> list[Step]:
        self._claims.release(step.key)
        return super().fail(step, reason)

    def _claimed(self, step: Step) -> bool:
        """Claim a step, and see that there is something to make."""
        try:
            part_of = "" if step.whole is None else step.whole.key
            taken = self._claims.take(step.key, step.label, part_of)
        except WriteError as error:
            if error.no_room:
                raise NoRoomError.of(error) from error
            raise
        if not taken:
            self._elsewhere[step.key] = step
            return False
        if not self._is_there(step):
            return True
        self.succeed(step)
        self._reporter.elsewhere(step)
        return False

    def _look(self) -> None:
        """Take back what nobody holds any more; it is done, or this run's to make."""
        now = self._clock()
        if not self._elsewhere or now < self._next_look:
            return
        # Two that withdrew for each other must not meet again.
        pause = SECONDS_BETWEEN_LOOKS * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        self._next_look = now + pause
        for key, step in list(self._elsewhere.items()):
            if self._claims.is_free(key):
                del self._elsewhere[key]
                super().put_back(step)

    def _say_idle(self) -> None:
        if not self._elsewhere or len(self._elsewhere) < len(self.running) or self._said:
            return
        self._said = True
        steps = counted(len(self._elsewhere), "step")
        first = next(iter(self._elsewhere.values())).label
        self._reporter.note(f"waiting for {steps} that another run is making ({first})")
