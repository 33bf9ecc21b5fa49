"""Real runs on Ray of this machine: the same bytes as by the engine `local`, whoever dies."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import hashbench
from hashbench.errors import UsageError
from hashbench.plugins.registered import Registry
from hashbench.runner.engines.cluster import own_cluster
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import BaseModel, Step
from hashbench.runner.suite import Suite

TinySuite = Callable[..., Suite]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DARKER = """
from dataclasses import dataclass

from hashbench.plugins import Attack, attack

@attack("darker")
@dataclass(frozen=True)
class Darker(Attack):
    '''Every pixel as dark as it may be.'''

    def perturb(self, model, images, goal, threat, rng):
        return images - float(threat.eps)
"""

HEAD = """
import sys
import ray
ray.init(
    address="local", num_cpus=2, include_dashboard=False, configure_logging=False,
    log_to_driver=False, object_store_memory=80 * 2**20, _temp_dir=sys.argv[1],
    _node_ip_address="127.0.0.1",
)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Ray in this process, with two CPUs: what `run` finds there, it uses."""
    with own_cluster(2, ()) as ray:
        yield ray
    assert not ray.is_initialized()


def workers_of(out: Path) -> list[tuple[int, int]]:
    """Worker processes that write into a folder, each with its parent."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if str(out.resolve()).encode() in words:
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    found.append((int(process.name), int(fields[1])))
        except OSError:  # it has just ended
            continue
    return found


def gone(out: Path) -> bool:
    """Whether no worker is left, in a moment."""
    until = time.monotonic() + 20
    while workers_of(out):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def contents(out: Path) -> dict[str, bytes]:
    """All that steps have written, by its place; what notes the time is left out."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.glob("artifacts/*/*/*"))
        if path.name != "done.json"
    }


def test_the_same_bytes_as_by_processes_of_this_machine(
    cluster: Any, tiny_suite: TinySuite, tmp_path: Path
) -> None:
    """Of plugin files, too: a data set and an attack."""
    assert cluster.is_initialized()
    (tmp_path / "darker.py").write_text(DARKER)
    suite = tiny_suite(
        attack=["hag:steps=2", "darker"],
        defense=["none", "jpeg"],
        plugin=[tmp_path / "darker.py"],
    )
    made = {}
    for name, engine, workers in (("a", "local", 1), ("b", "local", 2), ("c", "ray", 2)):
        results = hashbench.run(suite, out=tmp_path / name, engine=engine, workers=workers)
        made[name] = (results.to_frame().to_csv(), contents(tmp_path / name))
    assert made["a"] == made["b"] == made["c"]
    assert len(made["c"][1]) > 10
    assert gone(tmp_path / "c")
    assert not [path for path in (tmp_path / "c").rglob(".*") if path.name != ".lock"]


@dataclass
class Murderer(Reporter):
    """Kills whoever makes the training, once it has come to some epoch."""

    out: Path
    actor: bool
    tried: list[str] = field(default_factory=list)

    def advanced(self, step: Step, done: int, total: int) -> None:
        if isinstance(step, BaseModel) and not self.tried and done > total / 10:
            ((worker, actor),) = workers_of(self.out)
            self.tried.append("killed")
            os.kill(actor if self.actor else worker, signal.SIGKILL)

    def again(self, step: Step, reason: str, tried: int, most: int) -> None:
        self.tried.append(f"{step.label} {tried}/{most}: {reason}")


@pytest.mark.parametrize("actor", [False, True])
def test_a_step_of_what_was_killed_is_made_by_another(
    cluster: Any,
    tiny_suite: TinySuite,
    tmp_path: Path,
    actor: bool,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert cluster.is_initialized()
    suite = tiny_suite(training={"epochs": 150, "batch": 4})
    hashbench.run(suite, out=tmp_path / "whole")
    reporter = Murderer(tmp_path / "shot", actor)
    hashbench.run(suite, out=tmp_path / "shot", engine="ray", reporter=reporter)
    assert reporter.tried[0] == "killed"
    (told,) = reporter.tried[1:]
    assert told.startswith("train tiny")
    assert "1/3: " in told
    assert ("killed" if actor else "signal 9") in told
    assert capfd.readouterr() == ("", "")  # Ray has much to say of it
    assert contents(tmp_path / "shot") == contents(tmp_path / "whole")
    assert gone(tmp_path / "shot")


def test_a_step_that_no_machine_could_make_is_refused_at_once(
    cluster: Any, tiny_suite: TinySuite, tmp_path: Path
) -> None:
    assert cluster.is_initialized()
    suite = tiny_suite(compute={"threads": 3})
    with pytest.raises(UsageError, match="no machine of the cluster has more than 2"):
        hashbench.run(suite, out=tmp_path / "out", engine="ray")
    assert not contents(tmp_path / "out")


def test_what_is_done_needs_no_cluster(
    tiny_suite: TinySuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashbench.run(tiny_suite(), out=tmp_path)
    monkeypatch.setattr(
        "hashbench.runner.engines.ray_engine.own_cluster", lambda *_: pytest.fail("started one")
    )
    hashbench.run(tiny_suite(), out=tmp_path, engine="ray", workers=2)


@contextmanager
def head(folder: Path, **environment: str) -> Iterator[str]:
    """A cluster that is there, in processes of its own; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", HEAD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


@pytest.mark.parametrize("other", [False, True])
def test_a_cluster_at_an_address_is_looked_over(
    fresh_registry: Registry,  # noqa: ARG001
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    other: bool,
) -> None:
    """One whose machine has another numpy is refused; the same one else makes the run."""
    fake = tmp_path / "path" / "numpy-9.9.dist-info"
    fake.mkdir(parents=True)
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 9.9\n")
    suite = tmp_path / "suite.toml"
    tiny = Path(__file__).resolve().parents[1] / "plugins" / "tiny_data.py"
    suite.write_text(
        f'plugin = "{tiny}"\ndataset = "tiny"\nbackbone = "small-cnn:width=4,hidden=16"\n'
        'bits = 8\neps = "24/255"\ndefense = "none"\nattack = "noise"\n'
        "[training]\nepochs = 1\nbatch = 8\n"
    )
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = {name: text for name, text in os.environ.items() if name != "RAY_ADDRESS"}
    there = environment | token
    if other:
        there["PYTHONPATH"] = str(fake.parent)
    sockets = Path(tempfile.gettempdir()) / f"hb-{secrets.token_hex(4)}"
    out = tmp_path_factory.mktemp("results") / "out"
    with head(sockets, **there) as address:
        ran = subprocess.run(
            [
                *(sys.executable, "-P", "-m", "hashbench", "run", str(suite)),
                *("--out", str(out), "--engine", "ray", "--address", address, "--workers", "3"),
            ],
            capture_output=True,
            text=True,
            env=environment | token,
            timeout=300,
            check=False,
        )
    subprocess.run(["rm", "-rf", str(sockets)], check=True)
    assert ran.stdout == ""
    if other:
        assert ran.returncode == 2, ran.stderr
        words = " ".join(ran.stderr.split())
        assert words.startswith("Error: machine ")
        assert "has numpy 9.9 (here " in words
        assert not out.exists()
        return
    assert ran.returncode == 0, ran.stderr
    assert "the cluster has room for 2 workers, of 3" in " ".join(ran.stderr.split())
    assert "2 of 2 cells done" in ran.stderr
    assert "ray" not in ran.stderr.lower().replace("gray", "")
    assert not [path for path in out.rglob(".*") if path.name != ".lock"]
    assert gone(out)
