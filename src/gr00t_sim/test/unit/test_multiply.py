# SPDX-License-Identifier: Apache-2.0
"""From two demonstrations of the expert to new ones, in physics, here and in workers that are killed."""

import dataclasses
import importlib
import importlib.util
import json
import platform
from functools import partial

import killed_once
import numpy as np
import pytest

from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_sim.demonstration import Demonstrator, Variety
from gr00t_sim.evaluation.code_digest import MULTIPLYING, code_digest
from gr00t_sim.jobs.ray_workers import LOCAL
from gr00t_sim.jobs.runner import make_runner
from gr00t_sim.jobs.workers import WorkerError
from gr00t_sim.multiplication.multiplier import MotionSettings, Multiplier
from gr00t_sim.multiplication.playback import LEAST_BRIDGE_STEPS
from gr00t_sim.multiplication.segmentation import SegmentationError, boundaries
from gr00t_sim.multiplication.selection import choose_source, same_hands
from gr00t_sim.multiplication.source_data import read_source
from gr00t_sim.multiplication.sources import layout_now, prepare, shapes_of
from gr00t_sim.multiplication.subtasks import plan, subtasks_of
from gr00t_sim.multiplication.trace import replay
from gr00t_sim.multiply import MultiplyConfig, Recipe, digest_of, multiply_seed, require_hands, run
from gr00t_sim.production.produce import Order, produce
from gr00t_sim.recording import add_to
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.registry import TASKS
from gr00t_sim.tasks.task import TaskError

TASK = "pick_named_object"
SEED = 700000
ROWS = "data/chunk-000/episode_000000.parquet"
STRAIGHT = Variety(random_start=0.0, pushed=0.0, ticks_per_picture=1000)
_ON_RAY = pytest.param(
    LOCAL, marks=pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
)


@pytest.fixture(scope="module")
def sim():
    sim = TabletopSim(TASK)
    yield sim
    sim.close()


@pytest.fixture(scope="module")
def folder(sim, tmp_path_factory):
    """One demonstration with each hand."""
    root = tmp_path_factory.mktemp("source") / "few"
    demonstrator = Demonstrator(sim, STRAIGHT)
    with LeRobotWriter(root, sim.embodiment) as writer:
        for seed in (0, 2):
            made = demonstrator.run(seed)
            assert made.success
            add_to(writer, made, TASK, {})
        writer.finish()
    return root


@pytest.fixture(scope="module")
def recorded(sim, folder):
    return read_source(folder, sim.embodiment)[1]


@pytest.fixture(scope="module")
def sources(sim, recorded):
    return prepare(sim, recorded)[0]


@pytest.fixture(scope="module")
def recipe(sources, recorded):
    return Recipe(
        TASK, tuple(sources), MotionSettings(ticks_per_picture=1000), digest_of(recorded), code_digest(MULTIPLYING)[:16]
    )


@pytest.fixture(scope="module")
def here(recipe):
    """The outcomes of three scenes, made in this process."""
    return {seed: multiply_seed(recipe, seed) for seed in range(SEED, SEED + 3)}


def test_the_experts_demonstration_is_cut_where_it_lifts_and_lets_go(sim, recorded):
    trace = replay(sim, recorded[0])
    grasp, place, clear, leave = boundaries(trace)
    assert grasp[0] == 0 and leave[1] == len(trace)
    assert all(one[1] == two[0] for one, two in ((grasp, place), (place, clear), (clear, leave)))
    name, hand = trace.plan[0].object, trace.plan[0].hands[0]
    heights = np.array([where.position[2] for where in trace.places[name]])
    touching = trace.touching[hand, name]
    assert heights[grasp[1]] - heights[0] > 0.08 and touching[grasp[1]]
    assert touching[place[0] : place[1]].all() and not touching[place[1] : place[1] + 3].any()
    other = next(side for side in ("left", "right") if side != hand)
    assert not trace.touching[other, name].any()


def test_a_demonstration_without_a_grasp_cannot_be_cut(sim, recorded):
    trace = replay(sim, recorded[0])
    untouched = {key: np.zeros_like(seen) for key, seen in trace.touching.items()}
    with pytest.raises(SegmentationError, match=r"hand never lifted green cube"):
        boundaries(dataclasses.replace(trace, touching=untouched))


def test_in_its_own_scene_a_source_is_done_again(sim, sources):
    for source, seed in zip(sources, (0, 2), strict=True):
        attempt = Multiplier(sim, [source], MotionSettings(noise_m=0.0, ticks_per_picture=1000)).run(seed)
        assert attempt.reason == ""
        shown = sum(len(segment.motions[segment.subtask.hands[0]]) for segment in source.segments)
        assert len(attempt.demonstration.states) <= shown + 4 * LEAST_BRIDGE_STEPS, "no detours"


def test_in_other_scenes_the_named_object_ends_in_the_bin(here):
    assert [outcome.reason for outcome in here.values()] == [""] * 3


def test_the_source_is_one_of_the_same_hand(sim, sources):
    for seed in range(SEED, SEED + 5):
        sim.reset(seed)
        wanted = plan(sim.task)
        chosen = choose_source(
            sources, wanted, layout_now(sim, wanted), shapes_of(sim, wanted), np.random.default_rng(0)
        )
        assert chosen.hands == tuple(one.hands for one in wanted)
    left = [source for source in sources if source.hands[0] == ("left",)]
    with pytest.raises(DatasetError, match=r"needs the right hand, but no source uses it \(there are: left hand: 1\)"):
        require_hands(sim, left, SEED)


def test_an_attempt_depends_on_its_seed_alone(recipe, here):
    """The second scene comes out the same, whether another was tried before or after it."""
    again = multiply_seed(recipe, SEED + 1)
    assert again.files[ROWS] == here[SEED + 1].files[ROWS]


def test_a_machine_with_other_code_than_the_one_that_asks_is_named_and_makes_no_episode(recipe):
    """On a cluster, what it made went into the dataset as if it were of the code that asked."""
    other = dataclasses.replace(recipe, code="f" * 16)
    with pytest.raises(
        WorkerError, match=rf"machine {platform.node()} has other code.*: {recipe.code} there, f{{16}} here"
    ):
        multiply_seed(other, SEED)


@pytest.mark.parametrize("cluster", [None, _ON_RAY])
def test_workers_of_which_one_is_killed_give_the_same_episodes(cluster, recipe, here, tmp_path):
    if cluster is not None:  # its workers do not look for modules where pytest does
        cloudpickle = importlib.import_module("ray.cloudpickle")
        cloudpickle.register_pickle_by_value(killed_once)
    order = Order("making", tmp_path / "made", SEED, 3, 9, {"task": TASK}, "")
    work = killed_once.KilledOnce(partial(multiply_seed, recipe), SEED + 1, tmp_path / "killed")
    _, summary = produce(order, work, make_runner(2, cluster))
    assert (tmp_path / "killed").exists() and summary["episodes"] == 3
    dataset = LeRobotDataset(order.out)
    assert [entry.info["seed"] for entry in dataset.episodes] == list(here)
    assert all(entry.info["sim_task"] == TASK and "source_episode" in entry.info for entry in dataset.episodes)
    for index, outcome in enumerate(here.values()):
        episode = dataset.episode(index)
        one = LeRobotDataset(_unpacked(outcome.files, tmp_path / str(index))).episode(0)
        np.testing.assert_array_equal(episode.actions, one.actions)
        np.testing.assert_array_equal(episode.extras["valid"], one.extras["valid"])


@pytest.mark.parametrize("cluster", [None, _ON_RAY])
def test_the_verb_goes_on_where_it_stopped_reports_and_gives_the_same_here_and_on_a_cluster(
    cluster, folder, here, tmp_path, capsys
):
    count = 2 if cluster is None else 1
    config = MultiplyConfig(
        folder, count, tmp_path / "made", seed=SEED, workers=1, cluster=cluster, tries=1, json=tmp_path / "made.json"
    )
    if cluster is None:
        with pytest.raises(DatasetError, match=r"only 1 of 2 episodes after 1 scenes.*more --tries goes on"):
            run(config)
        assert not config.out.exists() and not config.json.exists()
    assert run(dataclasses.replace(config, tries=0)) == 0
    said = json.loads(config.json.read_text())
    assert (said["task"], said["sources"], said["sources_left_out"]) == (TASK, [0, 1], {})
    assert (said["episodes"], said["attempts"], said["acceptance_rate"]) == (count, count, 1.0)
    assert said["made"] == 1, "what was there is not made again"
    assert f"{count} of {count} tries kept (100 %)" in capsys.readouterr().out
    dataset = LeRobotDataset(config.out)
    assert [entry.info["seed"] for entry in dataset.episodes] == list(here)[:count]
    for index, outcome in enumerate(list(here.values())[:count]):
        one = LeRobotDataset(_unpacked(outcome.files, tmp_path / str(index))).episode(0)
        np.testing.assert_array_equal(dataset.episode(index).actions, one.actions)


def _unpacked(files, folder):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_a_source_that_does_not_replay_to_success_is_named(sim, recorded):
    stands_still = dataclasses.replace(
        recorded[1], actions=np.tile(recorded[1].states[0], (20, 1)), states=recorded[1].states[:20]
    )
    _, refused = prepare(sim, [recorded[0], stands_still])
    assert list(refused) == [1] and "its replay in scene 2 ends with: hand" in refused[1]
    with pytest.raises(
        DatasetError, match=r"not one demonstration can be multiplied. episode 1: its replay in scene 2"
    ):
        prepare(sim, [stands_still])


def test_a_source_in_a_scene_of_the_evaluation_is_named_and_not_carried_into_others(sim, recorded):
    judged = dataclasses.replace(recorded[1], seed=10000)
    sources, refused = prepare(sim, [recorded[0], judged])
    assert [one.index for one in sources] == [0]
    assert refused == {1: "it shows scene 10000, which is for evaluation"}


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("info.json", lambda text: text.replace('"gr1"', '"gr2"'), "is of robot 'gr2', the simulator has 'gr1'"),
        (
            "info.json",
            lambda text: text.replace('"fps": 20.0', '"fps": 30.0'),
            "30 rows a second, the simulator replays 20",
        ),
        (
            "episodes.jsonl",
            lambda text: text.replace('"seed"', '"sad"'),
            "episode 0 does not say the seed of its scene",
        ),
        ("episodes.jsonl", lambda text: text.replace(TASK, "stack", 1), "mixes the tasks pick_named_object, stack"),
        ("episodes.jsonl", lambda text: text.replace(TASK, "juggle"), "unknown task 'juggle'"),
        ("episodes.jsonl", lambda text: "", "lists no episode"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(folder, sim, tmp_path, file, change, message):
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    copy = _unpacked(files, tmp_path / "copy")
    path = copy / "meta" / file
    path.write_text(change(path.read_text()))
    with pytest.raises((DatasetError, TaskError), match=message):
        read_source(copy, sim.embodiment)


def test_the_task_of_a_dataset_that_does_not_say_it_is_told_by_its_sentences(folder, sim, tmp_path):
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    copy = _unpacked(files, tmp_path / "copy")
    path = copy / "meta" / "episodes.jsonl"
    path.write_text(path.read_text().replace('"sim_task"', '"else"'))
    assert read_source(copy, sim.embodiment)[0] == TASK
    with pytest.raises(DatasetError, match="holds demonstrations of 'pick_named_object', not of 'stack'"):
        read_source(folder, sim.embodiment, "stack")


def test_wrong_wishes_are_refused_before_anything_runs(folder, tmp_path):
    with pytest.raises(ConfigError, match="count and workers must be at least 1, got 0 and 2"):
        MultiplyConfig(folder, 0, tmp_path / "out")
    with pytest.raises(ConfigError, match="noise_m"):
        MultiplyConfig(folder, 1, tmp_path / "out", noise_m=0.5)
    with pytest.raises(DatasetError, match="exists already"):
        run(MultiplyConfig(folder, 1, tmp_path))
    with pytest.raises(DatasetError, match="is no dataset"):
        run(MultiplyConfig(tmp_path, 1, tmp_path / "out"))


def test_every_task_is_described_and_one_that_is_not_is_refused_with_the_list():
    assert all(subtasks_of(name) for name in TASKS)
    with pytest.raises(TaskError, match=r"'juggle' cannot be multiplied.* described are .*lift_box"):
        subtasks_of("juggle")


@pytest.mark.parametrize(("task", "shown"), [("lift_box", 0), ("put_in_drawer", 0)])
def test_what_takes_two_hands_is_multiplied_from_one_demonstration(task, shown, tmp_path):
    """The box is lifted in step; the drawer is shut once the other hand is clear of it."""
    sim = TabletopSim(task)
    with LeRobotWriter(tmp_path / "one", sim.embodiment) as writer:
        add_to(writer, Demonstrator(sim, STRAIGHT).run(shown), task, {})
        writer.finish()
    sources, _ = prepare(sim, read_source(tmp_path / "one", sim.embodiment)[1])
    multiplier = Multiplier(sim, sources, MotionSettings(ticks_per_picture=1000))
    seed = next(seed for seed in range(SEED, SEED + 9) if same_hands(sources, multiplier.needs(seed)))
    attempt = multiplier.run(seed)
    assert attempt.reason == "", attempt.detail
    if task == "lift_box":
        assert sources[0].hands == (("left", "right"),)
    else:
        *_, clear, _, shut = sources[0].segments
        assert clear.subtask.hands != shut.subtask.hands
        assert shut.first_row == clear.first_row + len(clear.motions[clear.subtask.hands[0]])
        shutting = shut.subtask.hands[0]
        moved = np.abs(np.diff(np.array(attempt.demonstration.actions), axis=0)) > 0.02
        first = {name: int(np.argmax(moved[:, _arm(sim, name)].any(axis=1))) for name in ("left", "right")}
        assert first[shutting] > first["left" if shutting == "right" else "right"] + 40
    sim.close()


def _arm(sim, side):
    groups = {joint.name: joint.group for joint in sim.embodiment.joints}
    return [index for index, name in enumerate(sim.embodiment.policy_joint_names) if groups[name] == f"{side}_arm"]
