"""A worker on a machine of a Ray cluster as a hand; `actor` is its other end."""

from __future__ import annotations

import errno
import json
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from typing_extensions import override

from hashbench.characters import shortened
from hashbench.runner.engines.actor import ENDED
from hashbench.runner.engines.contract import Died, Hand, Tell
from hashbench.runner.engines.process import news_of
from hashbench.runner.steps import Step

HEARTBEAT: Final = 10.0
"""Seconds after which an actor that has nothing to say says that it is alive."""

SILENCE: Final = 90.0
"""Seconds without a word after which an actor counts as lost: its machine hangs, or it was stopped.
Ray finds machines that are gone, and processes that have ended, by itself and sooner."""

PATIENCE: Final = 60.0
"""Seconds in which the cluster must have found room for an actor; its step can then be made by
another that is at work."""

IDLE: Final = 30.0
"""Seconds without a step after which an actor ends: others may want its processors, and what it
keeps of a card's memory."""

_GRACE: Final = 1.0
"""Seconds in which the child of an actor that was killed has ended, too."""

_MOST_TEXT: Final = 200

_NO_MEMORY: Final = ("running low on memory", "memory monitor", "NODE_OUT_OF_MEMORY")
_NO_MACHINE: Final = ("node has died", "node died", "NODE_DIED", "node is dead", "node was")
"""Of what Ray says of an actor that is no more. Its words for one that was killed speak of many
things that may have happened."""


class RayHand(Hand):
    """One actor; when it dies, with its machine perhaps, only the step that it is making is lost.

    The driver waits for its words in a thread, which costs nothing while there are none.
    """

    def __init__(
        self, ray: Any, hire: Callable[[], Any], tell: Tell, *, clock: Callable[[], float]
    ) -> None:
        """Ask the cluster for an actor.

        Args:
            ray: the module.
            hire: makes the actor, a `Bench`; returns at once.
            tell: told the news.
            clock: gives seconds.

        Raises:
            OSError: the system gives no thread.
        """
        self._ray = ray
        self._tell = tell
        self._clock = clock
        self._asked = clock()
        self._heard: float | None = None
        self._busy = clock()
        self._reason = ""
        self._over = False
        self._actor = hire()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        try:
            self.thread.start()
        except RuntimeError as error:  # the system gives no thread
            self.kill()
            raise OSError(errno.EAGAIN, str(error)) from None

    @override
    def start(self, step: Step) -> None:
        self.step = step
        self._actor.start.remote(step.key)

    @override
    def kill(self) -> None:
        """End the actor and its child, wherever they are."""
        self._over = True
        self._ray.kill(self._actor)

    @override
    def look(self) -> None:
        now = self._clock()
        if self.step is not None:
            self._busy = now
        if self._heard is None:
            if now - self._asked > PATIENCE:
                self._end("the cluster has no room for another worker just now")
        elif now - self._heard > SILENCE:
            self._end("its machine does not answer")
        elif now - self._busy > IDLE:
            self._end("it had nothing to do")

    @override
    def exit_reason(self) -> str:
        return self._reason

    def _end(self, reason: str) -> None:
        if not self._reason:
            self._reason = reason
            self._ray.kill(self._actor)

    def _listen(self) -> None:
        try:
            while self._pass_on(self._ray.get(self._actor.listen.remote(HEARTBEAT))):
                pass
            self._ray.kill(self._actor)
        except Exception as error:  # of Ray, which has many for an actor that is no more
            if not self._over and not self._reason:
                time.sleep(_GRACE)
            self._reason = self._reason or reason_of(error)
        if not self._over:
            self._tell(self, Died())

    def _pass_on(self, lines: list[str]) -> bool:
        """Tell what a worker said; whether more will come."""
        self._heard = self._clock()
        for line in lines:
            if (news := news_of(line)) is not None:
                if not self._over:
                    self._tell(self, news)
            elif (ended := _ended(line)) is not None:
                self._reason = self._reason or ended
                return False
        return True


def _ended(line: str) -> str | None:
    """Why a worker has ended, if the line says so; one that its death cut off says nothing."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return str(fields[ENDED]) if isinstance(fields, dict) and ENDED in fields else None


def reason_of(error: BaseException) -> str:
    """Why an actor is no more, in words for a person.

    Args:
        error: what Ray raised when it was asked for news.
    """
    name, text = type(error).__name__, str(error)
    if name == "OutOfMemoryError" or any(words in text for words in _NO_MEMORY):
        return "its machine ran out of memory, so Ray ended it"
    if name == "RuntimeEnvSetupError":
        return "Ray could not set up a process for it"
    if any(words in text for words in _NO_MACHINE):
        return "its machine is gone"
    if name == "ActorUnschedulableError":
        return "no machine of the cluster can hold it"
    if "creation task" in text or "__init__" in text:
        return f"it could not be started: {last_line(error)}"
    return "its process on the cluster was killed, or its machine is gone"


def last_line(error: BaseException) -> str:
    """Of what Ray raised: the traceback of another process, whose last line says the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shortened(lines[-1], _MOST_TEXT) if lines else type(error).__name__
