"""A hashing model as a classifier: logits, classes of queries, what it counts and refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hashbench.attacking import AttackedModel, Goal, Known, as_classifier
from hashbench.errors import PluginError
from hashbench.plugins import Access, Aim
from hashbench.retrieval import center_codes
from hashbench.testing.case import Case, ordinary


def goal_of(case: Case, *, labels: bool = True, training: bool = True) -> Goal:
    return Goal("mine", case.known, with_labels=labels, with_training=training)


def known(labels: list[list[int]], train: list[tuple[list[int], list[int]]]) -> Known:
    """Queries of these labels, and a training set of (labels, code)."""
    rows = np.array(labels)
    train_labels, codes = (np.array(part) for part in zip(*train, strict=True))
    centers = center_codes(rows, codes, train_labels)
    return Known.of(rows, centers, codes, train_labels, target_labels=rows)


THREE = [
    ([1, 0, 0], [1, 1, 1, 1]),
    ([0, 1, 0], [-1, -1, 1, 1]),
    ([0, 0, 1], [-1, -1, -1, -1]),
]
"""Label rows and codes of a training set: one image of each class."""


def labels_of(facts: Known) -> Tensor:
    goal = Goal("mine", facts, with_labels=True, with_training=True)
    return as_classifier(AttackedModel(ordinary().model), goal).labels


def test_logits_are_how_far_outputs_agree_with_the_centers_of_the_classes() -> None:
    case = ordinary()
    model = AttackedModel(case.model)
    net = as_classifier(model, goal_of(case))
    facts = case.known
    wanted = center_codes(
        np.eye(facts.labels.shape[1], dtype=bool), facts.train_codes, facts.train_labels
    )
    assert torch.equal(net.centers, torch.from_numpy(wanted).float())
    with torch.no_grad():
        found, outputs = net(case.images), case.model.outputs(case.images)
    # Sums of K terms of size 1 at most, in any order: float32's rounding of each.
    tolerance = model.bits**2 * 2**-23
    assert torch.allclose(found, outputs @ net.centers.T, rtol=0, atol=tolerance)
    for query in range(len(found)):
        for label in range(found.shape[1]):
            by_hand = sum(
                float(outputs[query, bit]) * int(wanted[label, bit]) for bit in range(model.bits)
            )
            assert abs(float(found[query, label]) - by_hand) <= tolerance


def test_passes_count_as_those_of_the_model() -> None:
    case = ordinary()
    model = AttackedModel(case.model)
    net = as_classifier(model, goal_of(case))
    assert (model.forwards, model.backwards) == (0, 0)
    point = case.images.clone().requires_grad_(True)
    net(point).sum().backward()
    assert (model.forwards, model.backwards) == (len(point), len(point))
    assert point.grad is not None


def test_it_is_a_module_with_a_frozen_parameter_and_nothing_of_the_model() -> None:
    case = ordinary()
    net = as_classifier(AttackedModel(case.model), goal_of(case))
    assert isinstance(net, nn.Module)
    assert not net.training
    assert [name for name, _ in net.named_parameters()] == ["centers"]
    assert not net.centers.requires_grad
    assert list(net.state_dict()) == ["centers"]
    assert len(list(net.modules())) == 1
    assert next(net.parameters()).device == case.images.device
    net.train()
    assert not case.model.training


def test_a_query_of_one_label_has_that_class() -> None:
    assert labels_of(known([[0, 0, 1], [1, 0, 0], [0, 1, 0]], THREE)).tolist() == [2, 0, 1]


def test_of_several_labels_the_one_whose_center_agrees_most_with_the_query_s_own() -> None:
    """Against enumeration, over all label rows of four classes and random codes."""
    generator = np.random.default_rng(3)
    for _ in range(20):
        train_labels = (generator.random((30, 4)) < 0.4).astype(int)
        codes = generator.choice([-1, 1], (30, 6))
        rows = np.array([[(row >> label) & 1 for label in range(4)] for row in range(16)])
        own = center_codes(rows, codes, train_labels).astype(int)
        centers = center_codes(np.eye(4), codes, train_labels).astype(int)
        facts = Known.of(rows, own, codes, train_labels)
        wanted = []
        for row, code in zip(rows, own, strict=True):
            borne = [label for label in range(4) if row[label]] or list(range(4))
            best = max(int(code @ centers[label]) for label in borne)
            wanted.append(next(label for label in borne if code @ centers[label] == best))
        assert labels_of(facts).tolist() == wanted


def test_the_class_of_a_query_depends_on_no_other_query() -> None:
    case = ordinary()
    together = labels_of(case.known)
    alone = [int(labels_of(case.known.rows(slice(i, i + 1)))[0]) for i in range(len(together))]
    assert together.tolist() == alone
    assert together.dtype == torch.int64


def test_the_class_to_lead_to() -> None:
    case = ordinary()
    goal = replace(goal_of(case), aim=Aim.TARGETED)
    targets = case.known.target_labels
    assert targets is not None
    found = as_classifier(AttackedModel(case.model), goal).targets
    assert all(bool(row[label]) for row, label in zip(targets, found, strict=True) if row.any())
    with pytest.raises(PluginError, match="its aim is untargeted"):
        as_classifier(AttackedModel(case.model), goal_of(case)).targets  # noqa: B018


def test_no_target_and_no_label_is_a_class_all_the_same() -> None:
    facts = known([[0, 0, 0]], THREE)
    goal = Goal("mine", facts, with_labels=True, with_training=True, aim=Aim.TARGETED)
    net = as_classifier(AttackedModel(ordinary().model), goal)
    assert net.labels.tolist() == [0]
    assert net.targets.tolist() == [0]


def test_a_card_that_declares_less_is_refused() -> None:
    case = ordinary()
    model = AttackedModel(case.model, "mine")
    with pytest.raises(PluginError, match=r"'mine' reads the training .* Knowledge\.TRAINING"):
        as_classifier(model, goal_of(case, training=False))
    without_labels = as_classifier(model, goal_of(case, labels=False))
    assert without_labels(case.images).shape == (len(case.images), 4)
    with pytest.raises(PluginError, match=r"'mine' reads the labels.*Knowledge\.LABELS"):
        without_labels.labels  # noqa: B018
    blind = AttackedModel(case.model, "mine", Access.CODES)
    with pytest.raises(PluginError, match="its card declares access 'codes'"):
        as_classifier(blind, goal_of(case))(case.images)
