"""Certificates as cells of a run: made, kept, gone on with, reported, and held against attacks."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import hashbench
from hashbench.certifying import certified_bits
from hashbench.errors import UsageError
from hashbench.hashing.encode import as_images
from hashbench.results.artifacts import CODES, PER_QUERY, SCORES
from hashbench.results.cell import CLEAN, CellResult, Status
from hashbench.results.flags import Code
from hashbench.results.load import load_results
from hashbench.results.metrics import Metric
from hashbench.results.planned import stored_plans
from hashbench.results.results import Results
from hashbench.results.store import Store
from hashbench.retrieval import Ties, average_precision
from hashbench.runner.evaluation_steps import Certificate
from hashbench.runner.loading import data_of, load_model, read_npz
from hashbench.runner.plan import Plan, make_plan
from hashbench.runner.run import missing_steps
from hashbench.runner.suite import Suite, compose, from_plain
from hashbench.runner.suite_command import command_of

TinySuite = Callable[..., Suite]

EPS = "2/255"


@pytest.fixture
def suite(tiny_suite: TinySuite) -> Suite:
    """An undefended model and one whose images are transformed, faint classes, three radii."""
    return tiny_suite(
        dataset="tiny:contrast=30",
        defense=["none", "jpeg"],
        attack=["noise", "pgd-hamming:steps=4", "dhta:steps=2"],
        eps=["1/255", EPS, "0"],
        certify=True,
        training={"epochs": 30, "batch": 8, "learning_rate": 0.02},
    )


@pytest.fixture
def out(suite: Suite, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of its results, of each test's own; made once."""
    base = tmp_path_factory.getbasetemp() / "proofs-made-once"
    if not base.exists():
        assert not hashbench.run(suite, out=base).failed
    return Path(shutil.copytree(base, tmp_path / "out"))


def certificates(results: Results) -> dict[tuple[str, str], CellResult]:
    return {
        (result.cell.defense, result.cell.eps): result
        for result in results.cells
        if result.cell.is_certificate
    }


def one(results: Results, defense: str, attack: str, eps: str) -> CellResult:
    wanted = (defense, attack, eps)
    (found,) = (r for r in results.cells if (r.cell.defense, r.cell.attack, r.cell.eps) == wanted)
    return found


def least_precisions(step: Certificate, store: Store) -> NDArray[np.float64]:
    """By trying every code that the uncertain bits allow."""
    data, protocol = data_of(step.setting), step.setting.source.protocol
    model = load_model(step.codes.model, store)
    bits = certified_bits(model, as_images(data.query.images[:], torch.device("cpu")), step.eps)
    database = read_npz(store, step.codes, CODES)["database"]
    found = []
    for row, labels in zip(bits, data.query.labels, strict=True):
        free = np.flatnonzero(row == 0)
        signs = np.array(list(itertools.product((-1, 1), repeat=free.size)), dtype=np.int8)
        codes = np.repeat(row[None], len(signs), axis=0)
        codes[:, free] = signs
        of_each = average_precision(
            codes,
            database,
            np.repeat(labels[None], len(codes), axis=0),
            data.database.labels,
            top_k=protocol.top_k,
            ties=Ties.WORST,
            normalize=protocol.normalize,
        )
        found.append(of_each.min())
    return np.array(found)


def test_what_is_proven_stands_beside_the_clean_cell_and_below_every_attack(
    suite: Suite, out: Path
) -> None:
    results = load_results(out)
    assert not results.failed
    assert results.violations == ()
    plan = make_plan(suite)
    proven = certificates(results)
    # At radius 0 it is written apart from the clean cell.
    assert {eps for _, eps in proven} == {"1/255", EPS, "0/255"}
    for planned in plan.cells:
        if not isinstance(planned.scores, Certificate) or planned.cell.defense != "none":
            continue
        result = proven["none", planned.cell.eps]
        exact = least_precisions(planned.scores, Store(out))
        assert result.per_query == pytest.approx(exact, abs=1e-12)
        assert result.metrics["certified_map"] == pytest.approx(exact.mean(), abs=1e-12)
        assert result.metrics[Metric.CERTIFIED_EXACT] == 1.0
        for attacked in results.cells:
            below = attacked.cell.radius.fraction <= planned.cell.radius.fraction
            if attacked.cell.is_attacked and attacked.cell.defense == "none" and below:
                assert attacked.worst_ties.size == exact.size
                assert (attacked.worst_ties >= exact - 1e-12).all()
    small, large = (proven["none", eps].metrics[Metric.CERTIFIED_BITS] for eps in ("1/255", EPS))
    assert 0 < large < small < 1  # it is no test of nothing


def test_at_radius_0_it_is_the_clean_precision_with_ties_worst(out: Path) -> None:
    results = load_results(out)
    result, clean = certificates(results)["none", "0/255"], one(results, "none", CLEAN, "0")
    assert result.metrics["certified_map"] == clean.metrics["map(ties=worst)"]
    assert result.metrics[Metric.CERTIFIED_BITS] == 1.0
    assert result.metrics[Metric.CERTIFIED_CODES] == 1.0


def test_the_csv_has_it_on_the_row_of_attack_none(out: Path) -> None:
    results = load_results(out)
    frame = results.to_frame()
    rows = frame[(frame.attack == "none") & (frame.metric == "certified_map")]
    by_model = {(row["defense"], row["eps"]): row for row in rows.to_dict("records")}
    assert set(by_model) == {(d, e) for d in ("none", "jpeg") for e in ("1/255", EPS, "0/255")}
    value = certificates(results)["none", EPS].metrics["certified_map"]
    assert by_model["none", EPS]["value"] == value
    without = by_model["jpeg", EPS]
    assert np.isnan(without["value"])
    assert without["status"] == "done"
    assert without["reason"].startswith("no certificate: images are transformed")
    # A worst case is over attacks alone.
    assert not ((frame.attack == "worst-case") & frame.metric.str.startswith("certified")).any()
    wide = results.leaderboard().set_index(["defense", "eps"]).certified
    assert wide["none", EPS] == pytest.approx(100 * value)
    assert np.isnan(wide["jpeg", EPS])


def test_nothing_is_proven_twice_and_another_radius_adds_a_cell(suite: Suite, out: Path) -> None:
    first = load_results(out)
    assert missing_steps(make_plan(suite), Store(out)) == []
    wider = replace(suite, eps=compose(None, {"eps": ["4/255"]}).eps, attack=())
    missing = missing_steps(make_plan(wider), Store(out))
    assert {type(step) for step in missing} == {Certificate}
    assert len(missing) == 2
    hashbench.run(wider, out=out)
    both = certificates(load_results(out))
    assert set(both) == {*certificates(first), ("none", "4/255"), ("jpeg", "4/255")}


def address_of(plan: Plan, eps: str = EPS, defense: str = "none") -> Any:
    return next(
        planned.scores.address
        for planned in plan.cells
        if (planned.cell.defense, planned.cell.attack, planned.cell.eps) == (defense, CLEAN, eps)
    )


def test_a_certificate_that_is_gone_or_damaged_is_made_again_to_the_byte(
    suite: Suite, out: Path
) -> None:
    plan = make_plan(suite)
    folder = out / address_of(plan).path
    before = {name: (folder / name).read_bytes() for name in (SCORES, PER_QUERY)}
    (folder / PER_QUERY).write_bytes(before[PER_QUERY][:-9])
    (step,) = missing_steps(plan, Store(out))
    assert isinstance(step, Certificate)
    hashbench.run(suite, out=out)
    assert {name: (folder / name).read_bytes() for name in before} == before


def planted(plan: Plan, out: Path, change: Callable[[NDArray[np.float64]], None]) -> None:
    """Write another certificate in the place of the true one, as an unsound proof would be."""
    store, address = Store(out), address_of(plan)
    artifact = store.artifact(address)
    assert artifact is not None
    scores = json.loads(artifact.read(SCORES))
    with np.load(io.BytesIO(artifact.read(PER_QUERY))) as file:
        arrays = {name: file[name] for name in file.files}
    change(arrays["worst"])
    scores["metrics"]["certified_map"] = float(arrays["worst"].mean())
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    files = {SCORES: json.dumps(scores).encode(), PER_QUERY: buffer.getvalue()}
    store.write(address, files, {})


def test_an_attack_below_a_proof_fails_the_run_and_the_report(
    suite: Suite, suite_file: Path, out: Path
) -> None:
    plan = make_plan(suite)
    attacked = [r for r in load_results(out).cells if r.cell.is_attacked]
    mine = [r for r in attacked if r.cell.defense == "none"]
    lowest = np.minimum.reduce([r.worst_ties for r in mine])
    query = int(lowest.argmin())

    def unsound(values: NDArray[np.float64]) -> None:
        values[query] = lowest[query] + 0.01

    planted(plan, out, unsound)
    results = load_results(out)
    below = [r.cell for r in mine if r.worst_ties[query] < lowest[query] + 0.01]
    assert {violation.cell for violation in results.violations} == set(below)
    violation = next(v for v in results.violations if v.beaten.left == lowest[query])
    assert violation.beaten.query == query
    for said in ("none / ", violation.cell.attack, f"query {query} ", "proven at eps 2/255"):
        assert said in violation.words
    assert f"{100 * (lowest[query] + 0.01):.6g} %" in violation.words
    flagged = {key for key, flags in results.flags.items() for one in flags if one.code is CODE}
    # At the certificate's radius and at those of the attacks below it; the other model's rows not.
    assert ("none", EPS) in {(key.defense, key.eps) for key in flagged}
    assert {key.defense for key in flagged} == {"none"}
    for words in (("run", str(suite_file)), ("report",)):
        folder = ("--out", str(out)) if words[0] == "run" else (str(out),)
        ended = hashbench_of(*words, *folder)
        assert ended.returncode == 1
        said = " ".join((ended.stdout + ended.stderr).split())
        assert f"WRONG {violation.words}" in said
    assert "Not ranked" in ended.stdout or "!" in ended.stdout


def test_a_proof_that_an_attack_reaches_is_no_violation(suite: Suite, out: Path) -> None:
    """Equal but for the last bits, as the order of a sum may leave them."""
    mine = [r for r in load_results(out).cells if r.cell.is_attacked]
    lowest = np.minimum.reduce([r.worst_ties for r in mine if r.cell.defense == "none"])

    def reached(values: NDArray[np.float64]) -> None:
        values[:] = np.minimum(np.nextafter(lowest, 1.0), 1.0)

    planted(make_plan(suite), out, reached)
    assert load_results(out).violations == ()


CODE = Code.ATTACK_BEATS_CERTIFICATE


def hashbench_of(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "hashbench", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def suite_file(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The suite as a file: what JSON writes of its values, TOML reads."""
    tables = {key: value for key, value in suite.to_plain().items() if isinstance(value, dict)}
    lines = [
        f"{key} = {json.dumps(value)}"
        for key, value in suite.to_plain().items()
        if key not in tables
    ]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path = tmp_path_factory.mktemp("suite") / "proofs.toml"
    path.write_text("\n".join(lines))
    return path


# When there are any.

CERTIFIES = """
from dataclasses import dataclass

from hashbench.defenses.cgat import CgAT
from hashbench.plugins import defense


@defense("proven")
@dataclass(frozen=True)
class Proven(CgAT):
    certifies = True
"""


def proofs_of(plan: Plan) -> set[tuple[str, str]]:
    cells = (planned.cell for planned in plan.cells)
    return {(cell.defense, cell.eps) for cell in cells if cell.is_certificate}


def test_nobody_is_asked_for_a_proof_unless_a_defense_is_trained_for_one(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    assert proofs_of(make_plan(tiny_suite())) == set()
    path = tmp_path / "proven.py"
    path.write_text(CERTIFIES)
    both = {"plugin": [path], "defense": ["none", "proven"]}
    every = {("none", "24/255"), ("proven", "24/255")}
    assert proofs_of(make_plan(tiny_suite(**both))) == every
    assert proofs_of(make_plan(tiny_suite(**both, certify=False))) == set()
    assert proofs_of(make_plan(tiny_suite(certify=True))) == {("none", "24/255")}


def test_an_attack_that_is_none_leaves_the_proof(tiny_suite: TinySuite, tmp_path: Path) -> None:
    results = hashbench.run(tiny_suite(attack="none", certify=True, eps="1/255"), out=tmp_path)
    assert [(r.cell.attack, r.cell.eps) for r in results.cells] == [
        ("none", "0"),
        ("none", "1/255"),
    ]


def test_a_model_that_is_given_has_the_certificate_of_the_one_that_was_made(
    suite: Suite, out: Path, tmp_path: Path
) -> None:
    made = load_results(out)
    folder = tmp_path / "model"
    exported = hashbench_of(
        *("model", "export", str(out), "--to", str(folder), "--defense", "none")
    )
    assert exported.returncode == 0, exported.stderr
    again = hashbench.run(
        {"model": str(folder), "attack": "none", "eps": EPS, "certify": True},
        out=tmp_path / "given",
        plugin=suite.plugin,
    )
    (mine,) = certificates(again).values()
    assert mine.metrics == certificates(made)["none", EPS].metrics


def test_the_command_that_asks_for_the_same_says_so() -> None:
    for word, value in (("--certify", True), ("--no-certify", False)):
        assert command_of(compose(None, {"certify": value})) == f"hashbench run {word}"
    assert "certify" not in command_of(compose(None, {}))


def test_certify_is_true_or_false() -> None:
    with pytest.raises(UsageError, match="certify"):
        from_plain({"name": "wrong", "certify": "maybe"}, "the suite")


def test_a_suite_counts_its_certificates() -> None:
    plain = compose(None, {"eps": ["1/255", "2/255"], "attack": ["noise"], "defense": ["none"]})
    assert plain.size == 1 + 2
    assert replace(plain, certify=True).size == 1 + 4
    assert replace(plain, attack=(), certify=True).size == 1 + 2


# Nothing proven.


def test_bounds_that_prove_no_bit_are_no_certificate(tiny_suite: TinySuite, tmp_path: Path) -> None:
    """Within radius 1 every image is any other: no bit of a model that tells two apart stands."""
    results = hashbench.run(tiny_suite(attack="none", eps="1", certify=True), out=tmp_path)
    (result,) = certificates(results).values()
    assert result.status is Status.DONE
    assert result.reason == "no certificate: at eps 1 its bounds prove no bit of any query"
    assert dict(result.metrics) == {Metric.CERTIFIED_BITS: 0.0}
    assert result.per_query.size == 0


def test_a_radius_of_l2_is_proven_as_one_of_the_ball(tiny_suite: TinySuite, tmp_path: Path) -> None:
    """No attack of the ball goes below it, and more is proven than of the enclosing box."""
    suite = tiny_suite(
        dataset="tiny:contrast=30",
        attack="pgd-hamming:steps=4",
        eps=["l2:0.004", "0.004"],
        certify=True,
        training={"epochs": 30, "batch": 8, "learning_rate": 0.02},
    )
    results = hashbench.run(suite, out=tmp_path)
    assert not results.failed
    assert not results.violations
    proven = certificates(results)
    ball, box = (proven["none", eps].metrics for eps in ("l2:0.004", "0.004"))
    assert ball[Metric.CERTIFIED_BITS] > box[Metric.CERTIFIED_BITS]
    assert proven["none", "l2:0.004"].per_query.mean() > proven["none", "0.004"].per_query.mean()


UNKNOWN = """
from dataclasses import dataclass

import torch
from torch import nn

from hashbench.hashing.backbone import BackboneNet
from hashbench.plugins import Backbone, backbone


class Sorted(nn.Module):
    def forward(self, values):
        return torch.sort(values, dim=1).values


@backbone("odd")
@dataclass(frozen=True)
class Odd(Backbone):
    def build(self, images):
        size = images.channels * images.height * images.width
        return BackboneNet(nn.Sequential(nn.Flatten(), Sorted()), size, images.mean, images.std)
"""


def test_a_layer_without_bounds_is_named_and_the_run_goes_on(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    path = tmp_path / "odd.py"
    path.write_text(UNKNOWN)
    asked = tiny_suite(plugin=[path], backbone="odd", certify=True)
    results = hashbench.run(asked, out=tmp_path / "out")
    assert not results.failed
    (result,) = certificates(results).values()
    assert result.reason.startswith("no certificate: ")
    assert "sort" in result.reason.lower()
    assert "map" in one(results, "none", "noise", "24/255").metrics


def test_other_floats_than_those_of_the_bounds_are_no_certificate(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    asked = tiny_suite(attack="none", certify=True, compute={"precision": "mixed"})
    (result,) = certificates(hashbench.run(asked, out=tmp_path)).values()
    assert result.reason.startswith("no certificate: the model is computed in mixed")


# Networks in memory.


def data() -> dict[str, Any]:
    draw = np.random.default_rng(0)

    def split(count: int) -> tuple[Any, Any]:
        labels = draw.integers(0, 3, count)
        images = draw.integers(0, 90, (count, 1, 8, 8)) + 70 * labels[:, None, None, None]
        return images.astype(np.uint8), labels

    return {"train": split(24), "query": split(6), "database": split(30)}


def test_a_network_in_memory_has_a_certificate_where_it_is_asked_for() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 8))
    plain = hashbench.evaluate(net, data(), "noise", eps=EPS)
    assert certificates(plain) == {}
    results = hashbench.evaluate(net, data(), "noise", eps=EPS, certify=True)
    (result,) = certificates(results).values()
    assert 0 < result.metrics["certified_map"] <= one(results, "none", "noise", EPS).metrics["map"]
    transformed = hashbench.evaluate(net, data(), [], eps=EPS, certify=True, defense="bit-depth")
    (other,) = certificates(transformed).values()
    assert other.reason.startswith("no certificate: ")
    with pytest.raises(UsageError, match="certify is 'yes', expected True or False"):
        hashbench.evaluate(net, data(), certify="yes")  # type: ignore[arg-type]


# What is stored.


@pytest.mark.parametrize(
    "change",
    [
        lambda scores: scores["metrics"].update(certified_map=1.5),
        lambda scores: scores["metrics"].update(certified_map=0.0),  # not the mean
        lambda scores: scores["metrics"].pop("certified_map"),  # and no reason
        lambda scores: scores["metrics"].update(map=0.5),
        lambda scores: scores.update(reason="because"),
        lambda scores: scores["curve"].update(recall=[1.0], precision=[1.0]),
        lambda scores: scores["metrics"].update(certified_bits=-1.0),
    ],
)
def test_what_no_proof_can_have_written_is_made_again(
    change: Callable[[dict[str, Any]], Any], suite: Suite, out: Path
) -> None:
    store, address = Store(out), address_of(make_plan(suite))
    artifact = store.artifact(address)
    assert artifact is not None
    scores = json.loads(artifact.read(SCORES))
    change(scores)
    kept = artifact.read(PER_QUERY)
    store.write(address, {SCORES: json.dumps(scores).encode(), PER_QUERY: kept}, {})
    with pytest.warns(hashbench.ResultsWarning):
        found = certificates(load_results(out))["none", EPS]
    assert found.status is Status.MISSING
    assert len(missing_steps(make_plan(suite), store)) == 1


def test_a_proof_is_of_one_version_of_its_code(out: Path) -> None:
    """The plan says which; clean cells, of the same attack `none`, have none."""
    (plan,) = stored_plans(Store(out))
    versions = {planned.attack for planned in plan.cells if planned.cell.is_certificate}
    assert len(versions) == 1
    assert versions != {""}
    assert {planned.attack for planned in plan.cells if planned.cell.is_clean} == {""}
