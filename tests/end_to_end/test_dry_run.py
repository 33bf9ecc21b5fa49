"""`hashbench run --dry-run`: short, complete, for other machines too, and without any download."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.trials import IMPORTED, Trial, Trials

PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
TINY = ("--plugin", str(PLUGINS / "tiny_data.py"), "--dataset", "tiny", "--eps", "24/255")
SMALL = (*TINY, "--backbone", "small-cnn:width=4,hidden=16", "--bits", "8")


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    # What networks are built with, so that no fork waits for an import.
    packages = ["timm"] if find_spec("timm") else []
    with Trials((*IMPORTED, *packages)) as ready:
        yield ready


def dry(trials: Trials, folder: Path, *options: str, **env: str) -> Trial:
    return trials.run("run", *options, "--dry-run", "--out", "out", cwd=folder, env=env)


def lines(trial: Trial) -> list[str]:
    assert trial.code == 0, trial.err
    assert not trial.err
    found = trial.out.splitlines()
    assert max(map(len, found)) <= 80
    return found


def entries(trial: Trial) -> list[str]:
    """The lines, those that were continued put together."""
    return re.sub(r"\n +", " ", "\n".join(lines(trial))).splitlines()


def test_models_are_listed_and_the_total_comes_last(trials: Trials, tmp_path: Path) -> None:
    options = ("--defense", "none", "--defense", "jpeg", "--attack", "noise", "--attack", "hag")
    trial = dry(trials, tmp_path, *SMALL, *options)
    model = "tiny, csq, small-cnn:width=4,hidden=16, 8 bits, seed 0: 2 attacks, 0 of 3 cells stored"
    assert entries(trial)[:2] == [f"none, {model}", f"jpeg, {model}"]
    assert re.fullmatch(
        r"6 cells, 17 steps; 17 steps to do: about \d+ s with 1 worker \([\d,]+ passes\)",
        " ".join(trial.out.splitlines()[4:]),
    )
    assert not (tmp_path / "out").exists()


def test_full_lists_every_step(trials: Trials, tmp_path: Path) -> None:
    trial = dry(trials, tmp_path, *SMALL, "--defense", "none", "--attack", "noise", "--full")
    assert trial.code == 0
    steps = [line for line in trial.out.splitlines() if line.startswith("to do   ")]
    assert len(steps) == 7
    assert steps[0] == "to do   train tiny csq small-cnn:width=4,hidden=16 8 bits seed 0"
    assert "2 cells, 7 steps; 7 steps to do" in trial.out.splitlines()[7]


def test_many_models_and_radii_stay_short(trials: Trials, tmp_path: Path) -> None:
    seeds = [word for seed in range(100) for word in ("--seed", str(seed))]
    options = ("--defense", "none", "--attack", "noise", "--eps", "1/255", *seeds)
    found = entries(dry(trials, tmp_path, *SMALL, *options))
    assert found[0].endswith("seed 0: 1 attack at 2 eps, 0 of 3 cells stored")
    assert found[40] == "... and 60 more models; --full lists every step"
    assert found[41].startswith("300 cells, 900 steps; 900 steps to do: about ")


def test_a_finished_run_is_all_stored(trials: Trials, tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text("[training]\nepochs = 1\n")
    options = ("short.toml", *SMALL, "--defense", "none", "--attack", "noise")
    assert trials.run("run", *options, "--out", "out", cwd=tmp_path).code == 0
    first, total = entries(dry(trials, tmp_path, *options))
    assert first.endswith("1 attack, 2 of 2 cells stored")
    assert total == "2 cells, 7 steps: all are stored"


def test_a_plan_for_a_machine_with_a_gpu_needs_none(trials: Trials, tmp_path: Path) -> None:
    options = (*SMALL, "--device", "cuda", "--attack", "none", "--defense", "none")
    found = entries(dry(trials, tmp_path, *options, CUDA_VISIBLE_DEVICES=""))
    text = " ".join(found)
    assert "1 cell, 5 steps; 5 steps to do: " in text
    assert text.endswith("how long they take is not known, since torch finds no cuda device here")
    run = trials.run(
        "run", *options, "--out", "out", cwd=tmp_path, env={"CUDA_VISIBLE_DEVICES": ""}
    )
    assert run.code == 2
    assert run.err == "Error: compute.device is cuda, but torch finds no CUDA device here\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("backbone", ["resnet18", "timm:model=test_resnet.r160_in1k"])
def test_an_estimate_downloads_nothing_and_says_what_the_run_will(
    trials: Trials, tmp_path: Path, backbone: str
) -> None:
    pytest.importorskip(backbone.partition(":")[0] if "timm" in backbone else "torchvision")
    away = {"TORCH_HOME": str(tmp_path / "torch"), "HF_HOME": str(tmp_path / "hub")}
    name = f"{backbone}{',' if ':' in backbone else ':'}weights=imagenet"
    canonical = f"{backbone.partition(':')[0]}:weights=imagenet"
    options = (*TINY, "--bits", "8", "--backbone", name, "--attack", "none", "--defense", "none")
    found = dry(trials, tmp_path, *options, **away)
    text = " ".join(lines(found))
    assert f"{canonical}" in text
    assert "the run needs its pretrained weights, and downloads them unless" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--attack", "hag,noise"], "repeat the option: --attack hag --attack noise"),
        (["--attack", "hag:steps=3,noise"], "repeat the option: --attack hag:steps=3 --attack noi"),
        (["--attack", "hag@published, noise"], "repeat the option: --attack hag@published --atta"),
        (["--attack", "hag", "noise"], "repeat the option: --attack hag --attack noise"),
        (["--attack=hag", "noise", "sdha"], "repeat the option: --attack hag --attack noise --att"),
        (["--defense", "none", "cgat"], "repeat the option: --defense none --defense cgat"),
        (["--bits", "32,64"], "repeat the option: --bits 32 --bits 64"),
        (["--bits", "32 64"], "repeat the option: --bits 32 --bits 64"),
        (["--bits", "32", "64"], "repeat the option: --bits 32 --bits 64"),
        (["--seed", "0-2"], "repeat the option: --seed 0 --seed 1 --seed 2"),
        (["--seed", "0..9"], "repeat the option: --seed 0 --seed 1 --seed 2 ..."),
        (["--eps", "4/255,8/255"], "repeat the option: --eps 4/255 --eps 8/255"),
        (["--loss", "csq,dph,dpn,dsh"], "repeat the option: --loss csq --loss dph --loss dpn ..."),
        (["quick", "zoo"], "a run takes one suite, found 2: quick, zoo"),
        (["--threads", "99999"], "compute.threads is 99,999, but must be from 1 to 1,024"),
        (["--bits", "513"], "a code has at least 1 bit and at most 512"),
        (["--backbone", "alexnet"], "needs images of at least 63 pixels a side, found 28 x 28"),
        (["--backbone", "resnet18:weights=no.pth"], "backbone 'resnet18': no.pth: cannot be read"),
        (["--backbone", "resnet18:weights=a,b.pth"], "a comma begins the next parameter"),
        (["--backbone", "resnet18:weights=~nosuchuser/a"], "there is no home folder of that name"),
    ],
)
def test_what_is_refused_is_told_in_one_sentence(
    trials: Trials, tmp_path: Path, options: list[str], words: str
) -> None:
    for more in ([], ["--dry-run"]):
        trial = trials.run("run", *options, *more, "--out", "out", cwd=tmp_path)
        assert (trial.code, trial.out) == (2, "")
        assert trial.err.startswith("Error: ")
        assert words in trial.err
        assert trial.err.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_parameters_and_negative_seeds_are_no_lists(trials: Trials, tmp_path: Path) -> None:
    options = ("--attack", "hag:steps=3,margin=0.5", "--defense", "none", "--seed", "-1")
    assert entries(dry(trials, tmp_path, *SMALL, *options))[0].endswith(
        "1 attack, 0 of 2 cells stored"
    )


NORMS = ("--plugin", str(PLUGINS.parent / "support" / "norms.py"))


def test_what_a_grid_leaves_out_is_said_before_the_total(trials: Trials, tmp_path: Path) -> None:
    options = ("--attack", "flat", "--attack", "both", "--eps", "L2: 0.5", "--defense", "none")
    trial = dry(trials, tmp_path, *SMALL, *NORMS, *options)
    assert entries(trial)[0].endswith("2 attacks at 2 eps, 0 of 4 cells stored")
    left = "attack 'flat' works in linf balls alone: left out at l2:0.5"
    assert left in trial.out.splitlines()[-2]
    done = trials.run("run", *SMALL, *NORMS, *options, "--out", "out", cwd=tmp_path)
    assert done.code == 0, done.err
    assert left in done.err
    again = trials.run("report", "out", "--eps", "l2:1/2", "--format", "csv", cwd=tmp_path)
    assert again.code == 0, again.err
    assert ",l2:0.5," in again.out
    assert ",24/255," not in again.out


@pytest.mark.parametrize(
    ("eps", "sentence"),
    [
        ("l3:0.5", "eps is 'l3:0.5', but the norms are linf and l2, as in linf:8/255"),
        ("l2:", "eps is 'l2:', but must be a number from 0 to 1000 behind its norm, as in l2:0.5"),
        ("l2:-1", "eps is l2:-1, but must lie from 0 to 1000"),
        ("l2:2000", "eps is l2:2000, but must lie from 0 to 1000"),
        ("l2:0.5,l2:1", "--eps takes one value, found 'l2:0.5,l2:1': repeat the option"),
        ("l2:1", "attack 'flat' works in linf balls alone, but the run's radii are l2:1: add"),
    ],
)
def test_a_wrong_radius_is_one_sentence(
    trials: Trials, tmp_path: Path, eps: str, sentence: str
) -> None:
    data = (*TINY[:4], "--backbone", "small-cnn:width=4,hidden=16", "--bits", "8")
    options = ("--attack", "flat", "--defense", "none", "--eps", eps)
    trial = dry(trials, tmp_path, *data, *NORMS, *options)
    assert trial.code == 2
    assert sentence in " ".join(trial.err.split())
    assert "Traceback" not in trial.err
