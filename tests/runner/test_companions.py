"""Attacks with targets, surrogates and networks of their own, through the runner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hashbench
from hashbench.data.targets import draw_targets
from hashbench.errors import UsageError
from hashbench.plugins import Access, Aim
from hashbench.results.artifacts import CODES
from hashbench.results.cell import CLEAN, WORST_CASE, CellResult, Status
from hashbench.results.load import load_results
from hashbench.results.results import Results
from hashbench.results.store import Store
from hashbench.retrieval import mean_average_precision
from hashbench.runner.evaluation_steps import AdversarialCodes, TrainedAttacker
from hashbench.runner.loading import data_of, read_npz
from hashbench.runner.plan import SURROGATE_SEED, Plan, make_plan
from hashbench.runner.steps import BaseModel, ModelCodes
from hashbench.runner.suite import Suite

TinySuite = Callable[..., Suite]
FILE = Path(__file__).resolve().parents[1] / "plugins" / "companions.py"


def of(results: Results, attack: str) -> CellResult:
    (found,) = (result for result in results.cells if result.cell.attack == attack)
    return found


def adversarial(plan: Plan) -> AdversarialCodes:
    (found,) = (step for step in plan.steps if isinstance(step, AdversarialCodes))
    return found


def test_a_targeted_attack_is_scored_by_its_targets(tiny_suite: TinySuite, tmp_path: Path) -> None:
    suite = tiny_suite(plugin=[FILE], attack=["reach-target", "noise"], eps="80/255")
    results = hashbench.run(suite, out=tmp_path)
    assert not results.failed
    found = of(results, "reach-target")
    assert found.targeted
    assert not of(results, "noise").targeted
    # By hand, from the codes in the store.
    plan, store = make_plan(suite), Store(tmp_path)
    (step,) = (
        step
        for step in plan.steps
        if isinstance(step, AdversarialCodes) and step.attack.card.name == "reach-target"
    )
    data = data_of(step.codes.model.setting)
    targets = draw_targets(data.query.labels, data.train.labels)
    attacked, clean = read_npz(store, step, CODES), read_npz(store, step.codes, CODES)
    assert np.array_equal(attacked["target_labels"], targets)
    wanted = mean_average_precision(
        attacked["codes"], clean["database"], targets, data.database.labels
    )
    assert found.metrics["t-map"] == pytest.approx(wanted, abs=1e-12)
    before = mean_average_precision(
        clean["query"], clean["database"], targets, data.database.labels
    )
    assert found.metrics["t-map"] > before + 0.1
    assert found.metrics["t-map(ties=worst)"] <= wanted <= found.metrics["t-map(ties=best)"]
    assert found.metrics["queries-without-target"] == 0
    assert "t-map" not in of(results, "noise").metrics


def test_a_targeted_attack_is_no_part_of_the_worst_case(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    suite = tiny_suite(plugin=[FILE], attack=["reach-target", "noise"], eps="80/255")
    results = hashbench.run(suite, out=tmp_path)
    (worst,) = results.worst_cases.values()
    assert np.array_equal(worst, of(results, "noise").per_query)
    assert of(results, "reach-target").metrics["map"] < worst.mean()
    only_targeted = hashbench.run(
        tiny_suite(plugin=[FILE], attack="reach-target", eps="80/255"), out=tmp_path / "other"
    )
    assert not only_targeted.worst_cases
    frame = only_targeted.to_frame()
    assert "map" not in set(frame[frame["attack"] == WORST_CASE]["metric"])


def test_a_surrogate_is_another_seeds_undefended_model(tiny_suite: TinySuite) -> None:
    suite = tiny_suite(
        plugin=[FILE], attack=["lend:backbone=small-cnn:width=2"], defense="cgat", seed=3
    )
    step = adversarial(make_plan(suite))
    assert step.surrogate is not None
    setting = step.surrogate.model.setting
    victim = step.codes.model.setting
    assert setting.seed == 3 + SURROGATE_SEED
    assert setting.backbone != victim.backbone
    assert (setting.loss, setting.bits, setting.compute) == (
        victim.loss,
        victim.bits,
        victim.compute,
    )
    assert step.surrogate.model.label.startswith("none ")
    assert {step.surrogate.key, step.surrogate.model.key} <= {one.key for one in step.upstream}
    with pytest.raises(UsageError, match="there is no backbone 'smal'"):
        make_plan(tiny_suite(plugin=[FILE], attack=["lend:backbone=smal"]))


def test_company_is_made_once_stored_and_found_again(tiny_suite: TinySuite, tmp_path: Path) -> None:
    suite = tiny_suite(
        plugin=[FILE],
        attack=["lend", "learn", "look-up"],
        defense=["none", "cgat"],
        eps=["40/255", "80/255"],
    )
    plan = make_plan(suite)
    kinds = [type(step) for step in plan.steps]
    assert kinds.count(BaseModel) == 2  # the cells' own, and the surrogate's
    assert kinds.count(ModelCodes) == 3
    assert kinds.count(TrainedAttacker) == 4  # one per model and radius
    results = hashbench.run(suite, out=tmp_path)
    assert not results.failed
    clean = of(hashbench.run(tiny_suite(plugin=[FILE], attack="none"), out=tmp_path), CLEAN)
    again = load_results(tmp_path)
    for attack in ("lend", "learn", "look-up"):
        cells = [r for r in again.cells if r.cell.attack == attack and r.cell.defense == "none"]
        lowest = min(cell.metrics["map"] for cell in cells)
        if attack == "look-up":  # it changes nothing
            assert lowest == clean.metrics["map"]
            assert cells[0].metrics["forwards"] == 1
        else:
            assert lowest < clean.metrics["map"]
    elsewhere = hashbench.run(suite, out=tmp_path / "elsewhere", workers=2)
    assert elsewhere.to_frame().equals(results.to_frame())


def test_reports_are_told_of_what_kind_an_attack_is(tiny_suite: TinySuite, tmp_path: Path) -> None:
    suite = tiny_suite(plugin=[FILE], attack=["lend", "look-up", "reach-target", "noise"])
    hashbench.run(suite, out=tmp_path)
    facts = {result.cell.attack: result.attack for result in load_results(tmp_path).cells}
    assert facts.pop(CLEAN) is None
    told = {
        name: (fact.name, fact.aim, fact.access, fact.white_box, fact.blind)
        for name, fact in facts.items()
        if fact is not None
    }
    assert told == {
        "lend": ("lend", Aim.UNTARGETED, Access.NONE, False, False),
        "look-up": ("look-up", Aim.UNTARGETED, Access.RANKING, False, False),
        "noise": ("noise", Aim.UNTARGETED, Access.NONE, False, True),
        "reach-target": ("reach-target", Aim.TARGETED, Access.GRADIENT, True, False),
    }
    lend = facts["lend"]
    assert lend is not None
    assert lend.transfers
    assert lend.parameters == {"backbone": "small-cnn"}
    seconds = [r.seconds for r in load_results(tmp_path).cells if r.cell.attack != CLEAN]
    assert all(second is not None and second >= 0 for second in seconds)


def test_an_attack_that_never_returns_fails_its_cell_and_the_run_goes_on(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    suite = tiny_suite(plugin=[FILE], attack=["restless", "noise"], limits={"passes": 50})
    results = hashbench.run(suite, out=tmp_path)
    stopped = of(results, "restless")
    assert stopped.status is Status.FAILED
    assert "attack 'restless' must return within 50 passes per query" in stopped.reason
    assert of(results, "noise").status is Status.DONE
    # The limit is no part of a key: a larger one finds what is there.
    wider = make_plan(tiny_suite(plugin=[FILE], attack=["noise"], limits={"passes": 60}))
    assert all(Store(tmp_path).has(step.address) for step in wider.steps)


def test_the_probe_stands_beside_the_clean_metrics(tiny_suite: TinySuite, tmp_path: Path) -> None:
    metrics = of(hashbench.run(tiny_suite(), out=tmp_path), CLEAN).metrics
    assert metrics["probe-unstable"] == metrics["probe-moved-at-eps-0"] == 0
    assert metrics["probe-clean"] == metrics["map"]  # fewer queries than the probe would take
    assert metrics["probe-floor"] == metrics["floor"]
    assert metrics["probe-unbounded"] < metrics["map"]


BROKEN = """
from dataclasses import dataclass
from hashbench.plugins import Attack, attack

@attack("broken")
@dataclass(frozen=True)
class Broken(Attack):
    def {method}(self):
        {body}
    def perturb(self, model, images, goal, threat, rng):
        return images
"""


@pytest.mark.parametrize(
    ("method", "body", "sentence"),
    [
        ("aim", "raise KeyError('no')", r"its method aim\(\) raises KeyError: 'no'"),
        ("aim", "return 'targeted'", r"its method aim\(\) returns 'targeted'"),
        ("surrogate", "1 / 0", r"its method surrogate\(\) raises ZeroDivisionError"),
        ("surrogate", "return 'small-cnn'", r"its method surrogate\(\) returns 'small-cnn'"),
        ("reads", "return None", r"its method reads\(\) returns None"),
    ],
)
def test_an_attack_that_cannot_be_asked_is_refused_in_a_sentence(
    method: str, body: str, sentence: str, tiny_suite: TinySuite, tmp_path: Path
) -> None:
    path = tmp_path / "broken.py"
    path.write_text(BROKEN.format(method=method, body=body))
    with pytest.raises(UsageError, match=f"attack 'broken': {sentence}"):
        make_plan(tiny_suite(plugin=[path], attack=["broken", "noise"]))


def test_an_attack_by_gradients_with_a_surrogate_is_white_box(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    path = tmp_path / "ensemble.py"
    path.write_text(
        BROKEN.format(method="surrogate", body="return Surrogate()").replace(
            "import Attack, attack", "import Attack, Surrogate, attack"
        )
    )
    hashbench.run(tiny_suite(plugin=[path], attack=["broken"]), out=tmp_path / "results")
    facts = of(load_results(tmp_path / "results"), "broken").attack
    assert facts is not None
    assert facts.white_box


def test_a_training_that_never_ends_fails_its_cell(tiny_suite: TinySuite, tmp_path: Path) -> None:
    path = tmp_path / "endless.py"
    first = "delta = network.get_parameter"
    forever = "while True: setup.model.codes(setup.images(torch.arange(4)))"
    source = FILE.read_text().replace('@attack("learn")', '@attack("endless")')
    path.write_text(source.replace(first, f"{forever}\n        {first}", 1))
    suite = tiny_suite(plugin=[path], attack=["endless", "noise"], limits={"passes": 30})
    results = hashbench.run(suite, out=tmp_path / "results")
    stopped = of(results, "endless")
    assert stopped.status is Status.FAILED
    assert "must be trained within 30 passes per training image" in stopped.reason
    assert of(results, "noise").status is Status.DONE
