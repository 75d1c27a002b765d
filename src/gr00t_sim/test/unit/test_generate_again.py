# SPDX-License-Identifier: Apache-2.0
"""A finished dataset is used again only for what it was made with: task, looks, pictures, policy, first seed and number."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_checkpoint import save_small_checkpoint

from gr00t_policy.core.errors import CheckpointError, ConfigError, DatasetError
from gr00t_policy.data.durable import write_json
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.model.checkpoint import load_checkpoint, save_checkpoint
from gr00t_sim import generate
from gr00t_sim.evaluation.code_digest import DEMONSTRATING, code_digest
from gr00t_sim.generate import GenerateConfig, demonstrate, run
from gr00t_sim.production.store import open_store
from gr00t_sim.simulation import TabletopSim

SHIPPED = Path(__file__).parents[4] / "models" / "gr1_tabletop_tiny"
NOTE = Path("meta") / "made_with.json"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> GenerateConfig:
    """One demonstration of a short task, made once for all tests here."""
    out = tmp_path_factory.mktemp("finished") / "set"
    config = GenerateConfig(task="lift_box", episodes=1, seed=40, picture_hz=5.0, workers=1, out=out)
    assert run(config) == 0
    return config


@pytest.fixture
def older(finished, tmp_path) -> GenerateConfig:
    """As datasets were before they said what they were made with."""
    config = replace(finished, out=tmp_path / "older")
    shutil.copytree(finished.folder, config.folder)
    (config.folder / NOTE).unlink()
    return config


def other_policy(folder: Path) -> Path:
    """The shipped network with one weight moved: another hash."""
    shipped = load_checkpoint(SHIPPED)
    model = shipped.load_weights()
    next(model.head.parameters()).data += 1
    save_checkpoint(folder, model, shipped.embodiment, shipped.statistics, shipped.prompt.tokenizer, {})
    return folder


def test_the_same_command_again_finds_its_dataset_which_says_what_it_was_made_with(finished, capsys):
    before = (finished.folder / "meta" / "info.json").stat().st_mtime_ns
    assert run(finished) == 0
    assert "is complete" in capsys.readouterr().out
    assert (finished.folder / "meta" / "info.json").stat().st_mtime_ns == before
    note = json.loads((finished.folder / NOTE).read_text())
    assert note.pop("code") == code_digest(DEMONSTRATING)[:16]
    assert note == {
        "task": "lift_box", "policy": "", "looks": "none", "picture_hz": "5.0", "first_seed": 40, "episodes": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"episodes": 5}, "episodes: 1 there, 5 asked for"),
        ({"seed": 41}, "first_seed: 40 there, 41 asked for"),
        ({"task": "stack"}, "task: 'lift_box' there, 'stack' asked for"),
        ({"looks": "mild", "picture_hz": 10.0}, r"looks: 'none' there, 'mild' asked for; picture_hz: '5.0' there"),
        ({"policy": SHIPPED}, f"policy: '' there, '{load_checkpoint(SHIPPED).hash[:12]}' asked for"),
    ],
)
def test_another_dataset_than_the_one_that_is_there_is_refused_by_name(finished, changes, named):
    with pytest.raises(DatasetError, match=f"{named}.*remove the folder or use another --out"):
        run(replace(finished, **changes))
    assert len(LeRobotDataset(finished.folder).episodes) == 1


def test_a_note_that_is_none_is_refused_by_the_name_of_its_file(finished, tmp_path):
    config = replace(finished, out=tmp_path / "set")
    shutil.copytree(finished.folder, config.folder)
    (config.folder / NOTE).write_text("[1]")
    with pytest.raises(DatasetError, match=r"made_with.json does not say.*\[1\]"):
        run(config)


def test_an_older_dataset_is_compared_as_far_as_its_episodes_tell_and_the_rest_is_said(older, capsys):
    assert run(older) == 0
    assert "not compared" in capsys.readouterr().out
    for changes, named in (
        ({"episodes": 2}, "episodes: 1 there, 2 asked for"),
        ({"task": "stack"}, "task: 'lift_box' there"),
        ({"looks": "mild"}, "looks: 'none' there"),
        ({"seed": 41}, "first_seed: 40 there, 41 asked for"),
    ):
        with pytest.raises(DatasetError, match=named):
            run(replace(older, **changes))
    assert run(replace(older, seed=39)) == 0, "the expert may have failed at 39"


def test_demonstrations_that_are_unfinished_are_not_gone_on_with_by_other_code_and_finished_ones_are_found(
    finished, tmp_path, monkeypatch, capsys
):
    config = replace(finished, out=tmp_path / "set")
    with open_store(tmp_path / ".set.shards", note_of(config, monkeypatch)):
        pass
    monkeypatch.setattr(generate, "code_digest", lambda beside: "f" * 64)  # as after a change of the expert
    with pytest.raises(DatasetError, match=rf"code: \w{{16}} there, {'f' * 16} here\); remove it or use another --out"):
        run(config)
    assert run(finished) == 0
    assert "is complete" in capsys.readouterr().out


def test_takeovers_of_one_policy_are_not_gone_on_with_by_another(tmp_path, monkeypatch):
    """Also where the second stands in the first one's folder."""
    policy = tmp_path / "policy"
    shutil.copytree(SHIPPED, policy)
    config = GenerateConfig(task="lift_box", episodes=2, workers=1, policy=policy, out=tmp_path / "set")
    cut_off = DatasetError("cut off")

    def cut(order, work, runner):
        with open_store(order.out.with_name(f".{order.out.name}.shards"), order.made_with):
            raise cut_off

    monkeypatch.setattr(generate, "produce", cut)
    with pytest.raises(DatasetError, match="cut off"):
        run(config)
    monkeypatch.undo()
    first, maker = load_checkpoint(policy).hash, config.maker
    shutil.rmtree(policy)
    second = load_checkpoint(other_policy(policy)).hash
    assert first != second
    with pytest.raises(DatasetError, match=f"policy: {first} there, {second} here"):
        run(config)
    with pytest.raises(CheckpointError, match=f"was replaced while it drove: {first[:12]} before, {second[:12]} now"):
        demonstrate(maker, 0)


def note_of(config: GenerateConfig, monkeypatch) -> dict[str, str]:
    """What its episodes would be noted to be made with; none are made."""
    orders = []

    def cut(order, work, runner):
        orders.append(order)
        raise DatasetError("cut off")

    with monkeypatch.context() as patch, pytest.raises(DatasetError, match="cut off"):
        patch.setattr(generate, "produce", cut)
        run(config)
    return orders[0].made_with


def test_a_policy_that_drives_begins_its_chunks_from_the_noise_that_it_has_on_the_robot(tmp_path, monkeypatch):
    config = GenerateConfig(task="lift_box", policy=save_small_checkpoint(tmp_path / "policy"), out=tmp_path / "set")
    sim = TabletopSim("lift_box")

    def targets(config: GenerateConfig) -> np.ndarray:
        sim.reset(3, start=sim.home)
        driver = generate._policy_driver(config.maker.driver, sim)
        driver.start(3, sim.sentence)
        return driver.targets()

    plain, varied = targets(config), targets(replace(config, noise_scale=1.0))
    np.testing.assert_array_equal(plain, targets(replace(config, noise_scale=0.0)))
    assert np.abs(plain - varied).max() > 1e-3
    assert note_of(config, monkeypatch)["noise_scale"] == "0.0"
    assert note_of(replace(config, noise_scale=0.5), monkeypatch)["noise_scale"] == "0.5"
    sim.close()


@pytest.fixture
def driven(finished, tmp_path) -> Callable[[str | None], GenerateConfig]:
    """As if the shipped policy had driven in the finished dataset, with a scale of its noise that is said or not."""

    def made(scale: str | None) -> GenerateConfig:
        config = replace(finished, policy=SHIPPED, out=tmp_path / "driven")
        shutil.copytree(finished.folder, config.folder)
        note = json.loads((config.folder / NOTE).read_text()) | {"policy": load_checkpoint(SHIPPED).hash}
        write_json(config.folder / NOTE, note if scale is None else {**note, "noise_scale": scale})
        return config

    return made


def test_takeovers_driven_with_another_noise_are_not_taken_for_these(driven):
    config = driven("0.0")
    assert run(config) == 0
    with pytest.raises(DatasetError, match=r"noise_scale: '0.0' there, '1.0' asked for.*remove the folder"):
        run(replace(config, noise_scale=1.0))


def test_takeovers_from_before_the_noise_was_said_were_driven_with_all_of_it(driven, capsys):
    config = driven(None)
    with pytest.raises(DatasetError, match=r"noise_scale: '1.0' there, '0.0' asked for"):
        run(config)
    assert run(replace(config, noise_scale=1.0)) == 0
    assert "not compared" not in capsys.readouterr().out


def test_unfinished_takeovers_from_before_go_on_with_all_noise_alone(tmp_path, monkeypatch):
    config = GenerateConfig(task="lift_box", episodes=1, policy=SHIPPED, out=tmp_path / "set")
    before = note_of(config, monkeypatch)
    del before["noise_scale"]
    with open_store(tmp_path / ".set.shards", before):
        pass
    with pytest.raises(DatasetError, match=r"noise_scale: 1.0 there, 0.0 here"):
        run(config)
    with open_store(tmp_path / ".set.shards", {**before, "noise_scale": "1.0"}, {"noise_scale": "1.0"}) as store:
        assert store.outcomes == {}


@pytest.mark.parametrize(("policy", "scale"), [(None, 0.0), (SHIPPED, -0.1), (SHIPPED, float("nan"))])
def test_a_scale_of_nobody_s_noise_or_of_none_is_refused(policy, scale):
    with pytest.raises(ConfigError, match="noise_scale is that of a policy and not below 0"):
        GenerateConfig(policy=policy, noise_scale=scale)
