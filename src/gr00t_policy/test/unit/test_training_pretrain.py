# SPDX-License-Identifier: Apache-2.0
"""Training from a mixture: every robot in its own slot and units, any number of processes, any stop, the same run."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import train_together
from sample_data import small_robot, to_radians
from small_checkpoint import save_small_checkpoint, small_config
from training_runs import apart, assert_same_curve, curve, weights
from two_robots import SENTENCES, write_two_robots

from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.data.mixture import Mixture, open_mixture
from gr00t_policy.data.mixture_config import load_mixture_config
from gr00t_policy.data.mixture_reader import Chance, MixtureReader
from gr00t_policy.data.mixture_sampler import SamplerConfig
from gr00t_policy.data.mixture_statistics import mixture_statistics
from gr00t_policy.data.transforms import ImageTransform, StateActionTransform
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.model.tokenizer import Prompt
from gr00t_policy.training import posttrain, pretrain
from gr00t_policy.training.batches import Batch, Prompts, streams
from gr00t_policy.training.embodiment_slots import with_slots
from gr00t_policy.training.learnt_data import learnt_entry
from gr00t_policy.training.loop import RESUME, TrainingRun
from gr00t_policy.training.mixture_batches import MixtureBatches, Reading, RobotInBatch
from gr00t_policy.training.mixture_run import robots_of, statistics_by_tag
from gr00t_policy.training.posttrain import PosttrainConfig
from gr00t_policy.training.pretrain import PretrainConfig

SAMPLER = SamplerConfig(seed=3, block=8, frames_per_visit=2)
_WORKER = """
import sys
from pathlib import Path
from gr00t_policy.training import pretrain
from gr00t_policy.training.loop import TrainingRun
from gr00t_policy.training.pretrain import PretrainConfig
alone = TrainingRun._alone
def looked_at(run, *, last):
    begun = last and run.config.accumulate > 1
    assert not begun or any(p.grad is not None for p in run.model.parameters()), "whole gradients wait for the last part"
    return alone(run, last=last)
TrainingRun._alone = looked_at
mixture, init, out = map(Path, sys.argv[1:])
for name, shard in (("two", False), ("sharded", True), ("cut", True)):
    pretrain.run(
        PretrainConfig(
            mixture=mixture, init=init, out=out / name, shard=shard, steps=4, batch=4, accumulate=1 + shard, lr=1e-3, threads=1,
            save_every=2, log_every=1, block=8, aux_weight=0.0, ema_decay=0.9,
        )
    )
"""


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return write_two_robots(tmp_path_factory.mktemp("pyramid"))


@pytest.fixture(scope="module")
def mixture(pyramid) -> Mixture:
    return open_mixture(load_mixture_config(pyramid))


@pytest.fixture(scope="module")
def start(pyramid, tmp_path_factory) -> PretrainConfig:
    """From a small network, steps of four pictures."""
    folder = tmp_path_factory.mktemp("start")
    return PretrainConfig(
        mixture=pyramid, init=save_small_checkpoint(folder / "init"), out=folder / "whole", steps=4, batch=4, lr=1e-3,
        threads=1, save_every=2, log_every=1, block=8, ema_decay=0.9,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(start) -> PretrainConfig:
    pretrain.run(start)
    return start


def batches_of(mixture: Mixture, **options) -> MixtureBatches:
    class OneToken:
        def encode(self, instruction: str, views: int = 1) -> Prompt:
            return Prompt(np.array([len(instruction)]), np.array([1]))

    _, merged = mixture_statistics(mixture)
    robots = {
        tag: RobotInBatch(StateActionTransform(robot, merged[tag], 64, 32), slot)
        for slot, (tag, robot) in enumerate(robots_of(mixture).items())
    }
    reader = MixtureReader(mixture, 16, ImageTransform(28, 0.9), chance=Chance(3))
    return MixtureBatches(reader, SAMPLER, robots, Prompts(OneToken()), **options)


def steps_of(batches: MixtureBatches, first: int, count: int, places: range, samples: int = 2) -> list[Batch]:
    drawn = [batches.draw(streams(3, step, 0, places=places), samples) for step in range(first, first + count)]
    batches.close()
    return drawn


def test_robots_stand_side_by_side_each_with_its_own_statistics_padding_and_slot(mixture):
    batches = batches_of(mixture, batch=16)
    (batch,) = steps_of(batches, 0, 1, range(16))
    _, merged = mixture_statistics(mixture)
    robots = robots_of(mixture)
    slots = batch["embodiment_id"]
    assert set(slots) == {0, 1}
    for slot, (tag, robot) in enumerate(robots.items()):
        rows = np.flatnonzero(slots == slot)
        own = StateActionTransform(robot, merged[tag], 64, 32)
        assert (batch["action_mask"][rows][:, :, ~own.action_mask] == 0).all(), "padding is never trained"
        learnt = batch["action"][rows][batch["action_mask"][rows] > 0]
        assert (np.abs(learnt) <= 1 + 1e-6).all(), "normalised by its own extremes"
        assert (batch["state"][rows][:, 0, ~own.state_mask] == 0).all()
        sentence = len(SENTENCES[slot])
        assert (batch["input_ids"][rows // 2, 0] == sentence).all(), "a sentence stays with its picture"
    known = batch["aux_mask"].any(axis=1)
    np.testing.assert_array_equal(known, slots[::2] == 0, "one dataset says where things are")
    assert batch["pixel_values"].shape == (16, 1, 3, 28, 28)


def test_what_is_drawn_does_not_depend_on_how_many_draw_or_where_they_were_stopped(mixture):
    whole = steps_of(batches_of(mixture, batch=6), 0, 4, range(6))
    halves = [
        steps_of(batches_of(mixture, batch=6, process=p, processes=2), 0, 4, range(3 * p, 3 * p + 3)) for p in (0, 1)
    ]
    stopped = batches_of(mixture, batch=6, process=1, processes=2)
    steps_of(stopped, 0, 2, range(3, 6))
    resumed = batches_of(mixture, batch=6, reading=Reading(workers=1, processes=True))
    resumed.resume(stopped.state())
    later = steps_of(resumed, 2, 2, range(6))
    for step, batch in enumerate(whole):
        for key, value in batch.items():
            np.testing.assert_array_equal(np.concatenate([half[step][key] for half in halves]), value, key)
            if step >= 2:
                np.testing.assert_array_equal(later[step - 2][key], value, key)
    with pytest.raises(ConfigError, match="read in batches of 6, now of 8"):
        batches_of(mixture, batch=8).resume(stopped.state())


def test_pretraining_leaves_a_checkpoint_for_every_robot(pyramid, mixture, tmp_path, capsys):
    config = PretrainConfig(
        mixture=pyramid, out=tmp_path / "run", image_size=56, steps=2, batch=2, samples_per_image=2, aux_weight=1.0,
        threads=1, block=8, tensorboard=True,
    )  # fmt: skip
    pretrain.run(config)
    said = capsys.readouterr().out
    assert "% of it waiting for data" in said and "2 sentences, the longest takes" in said
    folder = tmp_path / "run" / "checkpoint"
    first, other = load_checkpoint(folder), load_checkpoint(folder, "small")
    assert first.robots == ("gr1", "small") and first.hash == other.hash
    assert (first.embodiment.rate_hz, other.embodiment.rate_hz) == (20.0, 10.0)
    for part, entry in zip(mixture.parts, first.card["datasets"], strict=True):
        assert entry.items() >= learnt_entry(part.dataset, part.entry.hold_out, part.entry.name).items()
        assert entry["frames"] == part.frames
    assert first.slot != other.slot and first.config.slot("new_embodiment") not in (first.slot, other.slot)
    _, merged = mixture_statistics(mixture)
    np.testing.assert_allclose(other.statistics.action["waist"].max, merged["small"].action["waist"].max)
    other.load_head()
    assert first.prompt.encode(SENTENCES[1]).attention_mask.sum() < 40
    assert {"flow", "waiting", "find"} <= set(curve(tmp_path / "run")[-1])
    with pytest.raises(CheckpointError, match="for embodiment 'gr1', 'small', not 'h1'"):
        load_checkpoint(folder, "h1")
    (folder / "embodiments" / "small.json").unlink()
    with pytest.raises(CheckpointError, match=r"lacks embodiments/small.json"):
        load_checkpoint(folder)


def killed_after_three(config: PretrainConfig, monkeypatch) -> None:
    """A run that ends in its fourth step, past its resume point at 2."""

    class KilledError(Exception):
        pass

    one_step = TrainingRun._optimise

    def until_three(self, *arguments):
        if self.step == 3:
            raise KilledError
        return one_step(self, *arguments)

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(TrainingRun, "_optimise", until_three)
        pretrain.run(config)


def assert_same_weights(whole: PretrainConfig, other: Path, share: float) -> None:
    """Weights that ended nearer to each other than this share of how far they moved."""
    assert whole.init is not None
    ended = weights(whole.out / "checkpoint"), weights(other / "checkpoint")
    assert apart(*ended, weights(whole.init)) <= share


def test_two_processes_and_a_sharded_network_learn_what_one_process_learns(whole, tmp_path, monkeypatch):
    killed_after_three(
        replace(whole, out=tmp_path / "cut"), monkeypatch
    )  # alone and whole; goes on shared out and sharded
    train_together(2, _WORKER, (whole.mixture, whole.init, tmp_path), tmp_path, timeout_s=280)
    for name in ("two", "sharded", "cut"):
        assert load_checkpoint(tmp_path / name / "checkpoint").card["processes"] == 2
        assert_same_weights(whole, tmp_path / name, share=5e-3)
    for name in ("two", "sharded"):
        assert_same_curve(whole.out, tmp_path / name, 4)


def test_parts_one_after_the_other_learn_what_the_whole_step_learns(whole, tmp_path):
    pretrain.run(replace(whole, out=tmp_path / "parts", accumulate=2))
    assert_same_curve(whole.out, tmp_path / "parts", 4)
    assert_same_weights(whole, tmp_path / "parts", share=5e-3)


def test_a_killed_run_goes_on_to_the_same_weights_and_refuses_to_become_another(whole, tmp_path, monkeypatch):
    config = replace(whole, out=tmp_path / "cut")
    killed_after_three(config, monkeypatch)
    with pytest.raises(ConfigError, match="holds a run with another batch"):
        pretrain.run(replace(config, batch=8))
    assert [line["step"] for line in curve(config.out)] == [1, 2, 3], "the third step is taken again"
    pretrain.run(config)
    assert_same_curve(whole.out, config.out, 4, rel=1e-6)
    assert_same_weights(whole, config.out, share=1e-5)


def test_statistics_are_computed_anew_until_weights_are_in_their_units_and_are_then_of_nothing_else(
    start, pyramid, tmp_path, capsys
):
    data = shutil.copytree(pyramid.parent, tmp_path / "data")
    mixture = open_mixture(load_mixture_config(data / "pyramid.yaml"))
    config = replace(start, out=tmp_path / "run")
    (config.out / ".statistics.json.part").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=r"statistics.json cannot be written .*make room"):
        statistics_by_tag(config, mixture)
    (config.out / ".statistics.json.part").rmdir()
    before = statistics_by_tag(config, mixture)["gr1"].action["waist"]
    config = replace(config, min_range_rad=0.5)
    assert (before.max - before.min < 0.4).any()
    first = statistics_by_tag(config, mixture)["gr1"].action["waist"]
    assert (first.max - first.min).min() == pytest.approx(0.5), "not those of the former option"
    to_radians(data / "bolts" / "data" / "chunk-000" / "episode_000000.parquet")
    second = statistics_by_tag(config, mixture)["gr1"].action["waist"]
    assert (second.mean != first.mean).all(), "not those of the former rows"
    (config.out / RESUME).touch()
    assert statistics_by_tag(config, mixture)["gr1"].action["waist"].to_dict() == second.to_dict()
    kept = (config.out / "statistics.json").read_bytes()
    outermost = replace(mixture, config=replace(mixture.config, percentile_mixing_method="min_max"))
    with pytest.raises(ConfigError, match="was made of has changed: percentile_mixing_method "):
        statistics_by_tag(config, outermost)
    to_radians(data / "bolts" / "data" / "chunk-000" / "episode_000001.parquet")
    with pytest.raises(ConfigError, match=r"has changed: rows .*use another --out"):
        statistics_by_tag(config, mixture)
    assert (config.out / "statistics.json").read_bytes() == kept
    older = {key: value for key, value in json.loads(kept).items() if key in ("mixture", "tags")}
    (config.out / "statistics.json").write_text(json.dumps(older))
    assert statistics_by_tag(config, mixture)["gr1"].action["waist"].to_dict() == second.to_dict()
    assert "cannot be checked" in capsys.readouterr().out
    (config.out / "statistics.json").unlink()
    with pytest.raises(ConfigError, match=r"statistics.json is missing; the weights of this run are in its units"):
        statistics_by_tag(config, mixture)


def test_posttraining_takes_one_robot_of_many_with_new_or_kept_statistics(whole, pyramid, tmp_path):
    init = whole.out / "checkpoint"
    config = PosttrainConfig(
        datasets=(pyramid.parent / "cans",), init=init, embodiment=str(pyramid.parent / "small.yaml"), out=tmp_path / "one",
        steps=1, batch=2, threads=1, block=8, statistics="kept",
    )  # fmt: skip
    posttrain.run(config)
    before, after = load_checkpoint(init, "small"), load_checkpoint(tmp_path / "one" / "checkpoint")
    assert after.robots == ("small",) and after.slot == before.slot
    np.testing.assert_array_equal(after.statistics.state["waist"].mean, before.statistics.state["waist"].mean)
    weights = [one.load_weights().backbone.language.state_dict() for one in (before, after)]
    for name, value in weights[0].items():
        assert torch.equal(weights[1][name], value), f"the language model stays: {name}"
    with pytest.raises(ConfigError, match="no statistics of 'small' to keep; it has those of gr1"):
        posttrain.run(replace(config, init=whole.init, out=tmp_path / "none"))


def test_sentences_that_would_lose_their_end_are_refused(pyramid, tmp_path):
    short = save_small_checkpoint(tmp_path / "short")
    path = pyramid.parent / "cans"
    tasks = (path / "meta" / "tasks.jsonl").read_text()
    long = tmp_path / "cans"
    shutil.copytree(path, long)
    (long / "meta" / "tasks.jsonl").write_text(tasks.replace("red can", "xylophone zzyzx quartz vexed jukebox"))
    config = PosttrainConfig(
        datasets=(long,), init=short, embodiment=str(pyramid.parent / "small.yaml"), out=tmp_path / "run", steps=1
    )
    with pytest.raises(ConfigError, match=r"'pick up the xylophone.*' takes \d+ tokens, the network reads 24"):
        posttrain.run(config)


def test_robots_that_share_a_tag_but_not_their_joints_are_refused(mixture):
    first, second = mixture.parts
    mixed = Mixture(mixture.config, (first, replace(second, robot=replace(second.robot, tag="gr1"))))
    with pytest.raises(ConfigError, match="'gr1' and 'small' .* both have the tag 'gr1' and move other joints"):
        robots_of(mixed)


def test_more_robots_than_weight_slots_are_refused_and_the_slot_for_new_ones_stays_free():
    robots = [small_robot(name=name) for name in "abc"]
    slots = with_slots(small_config(), robots[:2]).embodiment_slots
    assert slots == {"gr1": 0, "new_embodiment": 3, "a": 1, "b": 2}
    with pytest.raises(ConfigError, match="4 weight slots, taken by gr1, new_embodiment, a, b; none is left for 'c'"):
        with_slots(small_config(), robots)
