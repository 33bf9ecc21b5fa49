"""A process of this machine as a hand, spoken to in lines; `worker` is its other end."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from typing_extensions import override

from hashbench.results.store import Failure, Store
from hashbench.runner.engines.cards import VISIBLE
from hashbench.runner.engines.child import Child
from hashbench.runner.engines.contract import (
    Advanced,
    Died,
    Ended,
    Hand,
    LaidOut,
    NoRoom,
    Ready,
    Said,
    Tell,
)
from hashbench.runner.steps import Step


def line_of(news: Said) -> str:
    """One line of JSON, as a worker process says it."""
    fields: dict[str, Any]
    match news:
        case Ready():
            fields = {"event": "ready"}
        case NoRoom(reason):
            fields = {"event": "no room", "reason": reason}
        case Advanced():
            fields = {"event": "advanced", **asdict(news)}
        case Ended(None):
            fields = {"event": "done"}
        case Ended(Failure() as failure):
            fields = {"event": "failed", **asdict(failure)}
    return json.dumps(fields)


def news_of(line: str) -> Said | None:
    """What a worker process said; `None` for a line that its death cut off."""
    try:
        fields = json.loads(line)
        match fields["event"]:
            case "ready":
                return Ready()
            case "no room":
                return NoRoom(fields["reason"])
            case "advanced":
                return Advanced(fields["done"], fields["total"])
            case "done":
                return Ended(None)
            case "failed":
                return Ended(Failure(fields["reason"], fields["traceback"]))
    except (ValueError, KeyError, TypeError):
        return None
    return None


class WorkerProcess(Hand):
    """One process; when it dies, only the step that it is making is lost."""

    def __init__(self, plan: LaidOut, store: Store, tell: Tell, *, card: str | None = None) -> None:
        """Start it; it lays out the plan by itself.

        Args:
            plan: whose steps it makes.
            store: where artifacts go.
            tell: told its news.
            card: the one GPU that it sees; `None` shows it all that this process sees.
        """
        self._tell = tell
        suite = plan.suite
        self._child = Child(
            json.dumps(suite.to_plain()),
            str(store.folder.resolve()),
            suite.compute.threads,
            self._hear,
            extra={} if card is None else {VISIBLE: card},
        )

    @override
    def start(self, step: Step) -> None:
        self.step = step
        self._child.say(step.key)

    @override
    def kill(self) -> None:
        """End the process at once: what it was making is not stored, and is made again later."""
        self._child.kill()

    @override
    def look(self) -> None:
        self._child.look()

    @override
    def exit_reason(self) -> str:
        return self._child.exit_reason()

    def _hear(self, line: str | None) -> None:
        if line is None:
            self._tell(self, Died())
        elif (news := news_of(line)) is not None:
            self._tell(self, news)
