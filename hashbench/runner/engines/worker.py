"""A worker process: told the suite, then keys of steps; answers in lines of JSON.

It lays out the plan by itself, which comes out the same, so that nothing but text passes between
processes. Not for people: `hashbench run --workers N` starts it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import IO, Final

import torch

from hashbench import standard_streams
from hashbench.errors import HashbenchError
from hashbench.results.store import Failure, Store
from hashbench.runner.engines.child import GPU_LOST
from hashbench.runner.engines.contract import Ended, Ready, Said
from hashbench.runner.engines.process import line_of
from hashbench.runner.engines.this_process import Relay, outcome
from hashbench.runner.matching.grid import grid_from_plain, is_of_matches
from hashbench.runner.matching.plan import plan_matches
from hashbench.runner.plan import make_plan
from hashbench.runner.steps import Step
from hashbench.runner.suite import from_plain

SECONDS_UNTIL_IDLE: Final = 2.0


def main() -> None:
    """Make steps until the parent process has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    standard_streams.use_patient_streams()
    output = reserve_stdout()

    def tell(news: Said) -> None:
        output.write(line_of(news) + "\n")
        output.flush()

    suite_line = sys.stdin.readline()
    tasks: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    steps, problem = _steps(suite_line)
    store = Store(Path(sys.argv[1]))
    relay = Relay(tell)
    tell(Ready())
    while True:
        step = steps.get(_next(tasks))
        if step is None:
            reason = problem or (
                "a plugin or the data changed while the run went on, or are others on the "
                "worker's machine; run it again"
            )
            tell(Ended(Failure(reason)))
        else:
            ended = outcome(step, store, relay)
            if isinstance(ended, Ended) and ended.failure is not None and gpu_is_lost():
                os._exit(GPU_LOST)  # the step is tried again elsewhere
            tell(ended)


def _next(tasks: queue.Queue[str]) -> str:
    """The key of the next step; while there is none, what torch keeps of a GPU is given back."""
    try:
        return tasks.get(timeout=SECONDS_UNTIL_IDLE)
    except queue.Empty:
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        return tasks.get()


def gpu_is_lost() -> bool:
    """Whether the GPU that this process has used fails whatever it is asked from now on."""
    if not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


def _steps(suite_line: str) -> tuple[dict[str, Step], str]:
    """The plan's steps by key, or why there is no plan."""
    try:
        plain = json.loads(suite_line)
        if is_of_matches(plain):
            matches = plan_matches(grid_from_plain(plain))
            return {step.key: step for step in (*matches.steps, *matches.images)}, ""
        plan = make_plan(from_plain(plain, "the suite"))
    except HashbenchError as error:
        return {}, f"a worker process could not lay out the plan: {error}"
    return {step.key: step for step in (*plan.steps, *plan.images)}, ""


def _listen(tasks: queue.Queue[str]) -> None:
    for line in sys.stdin:
        tasks.put(line.strip())
    # The parent is gone, killed perhaps: a half-made step would only be made again.
    os._exit(0)


def reserve_stdout() -> IO[str]:
    """Standard output for us alone: what a plugin prints goes to standard error."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return output


if __name__ == "__main__":
    main()
