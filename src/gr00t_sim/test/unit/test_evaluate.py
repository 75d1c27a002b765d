# SPDX-License-Identifier: Apache-2.0
"""Evaluation: its options, the other sentence, and that a recorded expert scores while a motionless policy does not."""

import numpy as np
import pytest
from placed import open_to
from released_folder import write_tokenizer
from small_checkpoint import save_small_checkpoint
from small_diffusion import save_random_diffusion_policy

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.model.config import preset
from gr00t_policy.model.synthesis import synthesise_release
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.policy import HoldPolicy, ReplayPolicy
from gr00t_sim.checkpoint_policy import load_policy
from gr00t_sim.demonstration import Demonstrator, Variety
from gr00t_sim.evaluate import EvalConfig, run
from gr00t_sim.evaluation.identity import identity_of
from gr00t_sim.evaluation.sentences import other_sentence
from gr00t_sim.furniture import DRAWER_JOINT
from gr00t_sim.rollout import PolicyDriver, rollout
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.task import TaskError


def test_other_sentence_names_something_else_of_the_same_scene():
    for name in ("pick_named_object", "choose_bin"):
        sim = TabletopSim(name)
        for seed in range(10):
            own = sim.reset(seed)
            other = other_sentence(sim.task, seed, own)
            assert sim.task.parse(own) != sim.task.parse(other)


def test_a_replayed_demonstration_succeeds_and_a_motionless_policy_does_not():
    sim = TabletopSim("choose_bin")
    record = Demonstrator(sim, Variety(random_start=0.0, pushed=0.0, after_success_ticks=2)).run(3)
    assert record.success
    replay = ReplayPolicy(sim.embodiment, np.stack(record.actions).astype(float))
    assert rollout(sim, PolicyDriver(sim, replay, blend_time_s=0.0), 3).success
    assert not rollout(sim, PolicyDriver(sim, HoldPolicy(sim.embodiment)), 3, max_s=2.0).success
    sim.close()


@pytest.mark.parametrize(
    ("shut", "opened", "success", "steps", "driven"),
    [
        (3, None, True, 4, 14),
        (3, 13, False, 20, 20),  # half a second, less one look
        (19, None, True, 20, 30),  # begun in time
        (19, 24, False, 20, 25),
    ],
)
def test_a_success_counts_when_it_lasts_and_from_its_beginning(shut, opened, success, steps, driven):
    """The drawer is moved by nobody, at the end of these periods of 20, and a robot that holds still is told to shut it."""
    sim = TabletopSim("close_drawer")
    seen = []

    def moving(step):
        seen.append(step)
        if step in (shut, opened):
            open_to(sim, DRAWER_JOINT, 0.0 if step == shut else 0.1)

    outcome = rollout(sim, PolicyDriver(sim, HoldPolicy(sim.embodiment)), 3, max_s=1.0, on_step=moving)
    sim.close()
    assert (outcome.success, outcome.steps, len(seen)) == (success, steps, driven)
    assert outcome.progress == 1.0, "the best seen, also where it did not last"


def test_a_chunk_is_followed_for_as_many_periods_as_asked_before_the_head_is_evaluated_again():
    sim = TabletopSim("choose_bin")
    asked = []

    class Asked(HoldPolicy):
        def act(self, state, state_stamp_ns):
            asked.append(state_stamp_ns)
            return super().act(state, state_stamp_ns)

    rollout(sim, PolicyDriver(sim, Asked(sim.embodiment), head_every=4), 3, max_s=0.6)
    sim.close()
    assert np.diff(asked).tolist() == [200_000_000, 200_000_000] and len(asked) == 3
    with pytest.raises(ConfigError, match="head_every"):
        EvalConfig(head_every=0)


def test_the_best_progress_of_an_episode_is_kept_when_its_end_is_worse():
    """Hold still for a second after a replay of the first half of a demonstration: the end says less than the best."""
    sim = TabletopSim("choose_bin")
    record = Demonstrator(sim, Variety(random_start=0.0, pushed=0.0, after_success_ticks=2)).run(3)
    lifted = ReplayPolicy(sim.embodiment, np.stack(record.actions[: len(record.actions) // 2]).astype(float))
    seen = []
    outcome = rollout(
        sim,
        PolicyDriver(sim, lifted, blend_time_s=0.0),
        3,
        max_s=3.0,
        on_step=lambda _: seen.append((sim.task_state().progress, sim.task_state().detail)),
    )
    sim.close()
    best = max(progress for progress, _ in seen)
    assert outcome.progress == pytest.approx(best, abs=1e-4) and best > 0.2
    assert outcome.best_detail in [detail for progress, detail in seen if progress == best]
    assert outcome.sentence == record.sentence


def test_an_unknown_language_is_refused():
    with pytest.raises(ConfigError, match="own, other, empty"):
        EvalConfig(language=("klingon",))


def test_a_task_and_a_suite_are_not_both_taken():
    with pytest.raises(ConfigError, match="not both"):
        EvalConfig(task="choose_bin", suite="gr1_tabletop")


def test_an_unknown_suite_names_the_known_ones():
    with pytest.raises(TaskError, match="known: gr1_tabletop"):
        EvalConfig(suite="kitchen")


def test_an_unknown_precision_names_the_known_ones_before_anything_starts():
    with pytest.raises(ConfigError, match="precision 'float32' is unknown; choose one of: int8, bf16, fp32"):
        EvalConfig(precision="float32")


def test_an_engine_that_can_run_no_evaluation_is_refused_with_those_that_can():
    for engine in ("onnx", "steam"):
        with pytest.raises(ConfigError, match=f"'{engine}' runs no.*: auto, openvino, torch, cuda_graph$"):
            EvalConfig(engine=engine)
    assert EvalConfig(engine="cuda_graph").settings.engine == "cuda_graph"


@pytest.mark.parametrize("max_s", [0.0, 0.02, -1.0, float("nan"), float("inf")])
def test_an_episode_shorter_than_a_control_period_or_without_an_end_is_refused(max_s):
    with pytest.raises(ConfigError, match=r"max_s must be at least one control period, 0\.05 s"):
        EvalConfig(max_s=max_s)
    assert EvalConfig(max_s=0.05).max_s == 0.05


def test_the_episodes_of_a_suite_are_all_tasks_times_sentences_times_seeds_each_once():
    config = EvalConfig(suite="gr1_tabletop", episodes=3, seed=7, language=("own", "empty", "own"))
    keys = config.keys()
    assert len(set(keys)) == len(keys) == len(config.tasks) * 2 * 3
    assert {key.seed for key in keys} == {7, 8, 9}


@pytest.mark.parametrize("task", ["lift_box", "open_drawer", "close_drawer", "close_door"])
def test_another_wish_of_a_task_that_leaves_no_choice_is_refused_before_anything_starts(task):
    with pytest.raises(
        ConfigError, match=f"nothing to run: in {task} there is nothing else to ask for.*--language own"
    ):
        EvalConfig(task=task, language=("other",))
    assert EvalConfig(task=task, language=("own", "other")).tasks_left_out == ()


def test_a_gallery_of_less_than_nothing_is_refused():
    with pytest.raises(ConfigError, match="gallery must be"):
        EvalConfig(gallery=-1)


@pytest.mark.parametrize("mode", ["switch", "ensemble", "rtc"])
def test_a_demonstration_that_is_replayed_succeeds_however_chunks_are_joined(mode):
    sim = TabletopSim("choose_bin")
    record = Demonstrator(sim, Variety(random_start=0.0, pushed=0.0, after_success_ticks=2)).run(3)
    replay = ReplayPolicy(sim.embodiment, np.stack(record.actions).astype(float))
    assert rollout(sim, PolicyDriver(sim, replay, chunk_mode=mode, interpolation="smooth"), 3).success
    sim.close()


def test_chunks_are_joined_as_on_the_robot_unless_asked_otherwise():
    asked, robot = EvalConfig(), ControllerConfig()
    assert (asked.blend_time_s, asked.chunk_mode) == (robot.blend_time_s, robot.chunk_mode)


def test_an_unknown_way_to_join_chunks_is_refused():
    with pytest.raises(ConfigError, match=r"chunk_mode.*blend, switch, ensemble, rtc"):
        EvalConfig(chunk_mode="swap")
    assert EvalConfig(chunk_mode="rtc", interpolation="smooth").settings.chunk_mode == "rtc"


def test_staggered_a_chunk_is_of_the_joint_state_of_three_ticks_before_its_period(tmp_path):
    policy = load_policy(save_small_checkpoint(tmp_path / "small"), "torch", noise_scale=0.0, staggered=True)
    sim = TabletopSim("choose_bin")
    driver = PolicyDriver(sim, policy, staggered=True)
    commanded, seen = [], []
    update, evaluate = driver._plan.update, driver._chunks.evaluate

    def kept(chunk):
        commanded.append(chunk.state_stamp_ns)
        return update(chunk)

    def watched(state, stamp_ns, origin, guide=None):
        seen.append((stamp_ns, sim.data.time))
        return evaluate(state, stamp_ns, origin, guide)

    driver._plan.update, driver._chunks.evaluate = kept, watched
    rollout(sim, driver, 3, max_s=0.3)
    sim.close()
    periods_ns = 50_000_000 * np.arange(6)
    np.testing.assert_allclose(commanded, [0, *(periods_ns[1:] - 25_000_000)], atol=1)
    stamps_s, times_s = np.array(seen).T * [[1e-9], [1.0]]
    np.testing.assert_allclose(stamps_s, times_s - times_s[0], atol=0.0021)  # a physics step
    assert len(seen) == 1 + 5 * 4 + 3  # the last period begins chunks, too


def test_a_release_is_evaluated_with_the_tokenizer_that_is_named(tmp_path):
    """There was no option for it, so that a folder as released could not be evaluated."""
    folder = tmp_path / "release"
    synthesise_release(folder, preset("n1_tiny_release"), load_embodiment("gr1"))
    how = {"task": "choose_bin", "episodes": 1, "language": ("own",), "max_s": 0.1, "workers": 1, "engine": "torch"}
    files = {"out": tmp_path / "results", "film": None, "gallery": 1}
    with pytest.raises(CheckpointError, match="has no tokenizer.*option --tokenizer"):
        run(EvalConfig(checkpoint=folder, **how, **files))
    tokens = write_tokenizer(tmp_path / "tokens")
    assert run(EvalConfig(checkpoint=folder, tokenizer=tokens, **how, **files)) == 0
    assert f"<span>--tokenizer</span> <span>{tokens}</span>" in (tmp_path / "results" / "gallery.html").read_text()
    with pytest.raises(CheckpointError, match="no tokenizer folder .*nowhere"):
        identity_of(folder, EvalConfig(tokenizer=tmp_path / "nowhere").settings)


def test_staggering_is_refused_where_it_cannot_be(tmp_path):
    with pytest.raises(ConfigError, match="rtc"):
        EvalConfig(chunk_mode="rtc", staggered=True)
    with pytest.raises(ConfigError, match="no flow"):
        PolicyDriver(TabletopSim("choose_bin"), HoldPolicy(load_embodiment("gr1")), staggered=True)
    with pytest.raises(ConfigError, match="Diffusion Policy"):
        identity_of(save_random_diffusion_policy(tmp_path / "baseline"), EvalConfig(staggered=True).settings)
