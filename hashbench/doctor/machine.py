"""The machine: processors, GPUs, memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hashbench.doctor.finding import Finding, State

LITTLE_MEMORY: Final = 2**30
"""Bytes below which the quick suite may not fit: torch and one attack take some 700 MB."""


def processors() -> Iterator[Finding]:
    """How many processors there are, and what torch makes of them. Imports torch."""
    import torch

    from hashbench.data.cache.entries import cores

    kind = torch.backends.cpu.get_cpu_capability()
    text = f"{cores()} usable, instructions {kind}; threads: torch would take "
    text += f"{torch.get_num_threads()}, a run takes 1 unless --threads says otherwise"
    yield Finding("cpu", State.OK, text)


def gpus(wanted: bool) -> Iterator[Finding]:
    """What torch can compute on besides. Imports torch.

    Args:
        wanted: whether there has to be one.
    """
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            text = f"{about.name}, {about.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}"
            yield Finding("cuda", State.OK, text)
        return
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    text = f"torch finds no CUDA device (it is built for {build})"
    if wanted:
        text += "; look at nvidia-smi, and install a torch that fits its driver: "
        yield Finding("cuda", State.WRONG, f"{text}https://pytorch.org/get-started/locally")
    else:
        yield Finding("cuda", State.OK, f"{text}; none is needed")


def memory() -> Iterator[Finding]:
    """How much memory is free, where the system says so."""
    free = free_memory()
    if free is None:
        yield Finding("memory", State.NOTE, "this system does not say how much is free")
        return
    if free < LITTLE_MEMORY:
        text = f"{free / 1e9:.1f} GB free: a run may be ended for lack of it; close other programs"
        yield Finding("memory", State.WRONG, text)
    else:
        yield Finding("memory", State.OK, f"{free / 1e9:.1f} GB free")


def free_memory() -> int | None:
    """Bytes that a process may still get, by the system and by its group's limit."""
    found = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        [line] = [line for line in lines if line.startswith("MemAvailable:")]
        found.append(int(line.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # "max" is no limit
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        found.append(max(0, limit - int((group / "memory.current").read_text())))
    if not found:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=None)
