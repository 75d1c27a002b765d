# SPDX-License-Identifier: Apache-2.0
"""A person's recording of a simulated scene becomes a source that is multiplied: bag -> dataset -> source -> new episode."""

from pathlib import Path

import numpy as np
import pytest
from rosbags.typesys import get_types_from_msg
from sample_bags import START, STORE, S, header, made, picture, string

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter
from gr00t_policy.data.convert_bags import Conversion, convert_bags
from gr00t_policy.data.meta import read_lines
from gr00t_sim.evaluation.code_digest import MULTIPLYING, code_digest
from gr00t_sim.experts.registry import make_expert
from gr00t_sim.multiplication.multiplier import MotionSettings
from gr00t_sim.multiplication.source_data import read_source
from gr00t_sim.multiplication.sources import prepare
from gr00t_sim.multiply import Recipe, digest_of, multiply_seed
from gr00t_sim.simulation import TabletopSim

TASK, SEED = "lift_box", 3
STATE = "gr00t_msgs/msg/TaskState"
_TEXT = (Path(__file__).resolve().parents[3] / "gr00t_msgs" / "msg" / "TaskState.msg").read_text()
STORE.register({name: kind for name, kind in get_types_from_msg(_TEXT, STATE).items() if name not in STORE.types})
PERIOD_S, SLICE_S = 0.05, 0.01


@pytest.fixture(scope="module")
def sim():
    sim = TabletopSim(TASK)
    yield sim
    sim.close()


@pytest.fixture(scope="module")
def driven(sim):
    """All that is sent while somebody lifts the box: (topic, type, time [s], message), and whether the box was lifted."""
    expert = make_expert(sim)
    sentence = sim.reset(SEED)
    expert.restart()
    robot, joints = sim.embodiment, sim.embodiment.policy_joints
    names = [joint.name for joint in joints]
    columns = [robot.joint_names.index(name) for name in names]
    signs = np.array([joint.sign for joint in joints])
    frame, empty = np.zeros((224, 224, 3), np.uint8), np.zeros(0)
    sent = [("language_command", "std_msgs/msg/String", 0.0, string(sentence))]
    for tick in range(80):
        at_s, targets = tick * PERIOD_S, expert.act()
        point = made("trajectory_msgs/msg/JointTrajectoryPoint", positions=targets[columns] * signs, velocities=empty,
                     accelerations=empty, effort=empty,
                     time_from_start=made("builtin_interfaces/msg/Duration", sec=0, nanosec=50_000_000))  # fmt: skip
        trajectory = made("trajectory_msgs/msg/JointTrajectory", header=header(at_s), joint_names=names, points=[point])
        sent.append(("camera/ego_view/image_raw", "sensor_msgs/msg/Image", at_s, picture(frame, at_s)))
        sent.append(("joint_trajectory", "trajectory_msgs/msg/JointTrajectory", at_s, trajectory))
        sim.set_targets(targets, PERIOD_S)
        for part in range(round(PERIOD_S / SLICE_S)):
            positions = sim.joint_positions()[columns] * signs
            state = made("sensor_msgs/msg/JointState", header=header(at_s + part * SLICE_S), name=names,
                         position=positions, velocity=empty, effort=empty)  # fmt: skip
            sent.append(("joint_states", "sensor_msgs/msg/JointState", at_s + part * SLICE_S, state))
            sim.step_physics(round(SLICE_S / sim.timestep_s))
        status = sim.task_state()
        if tick % 4 == 0:
            said = made(STATE, header=header(at_s), task=TASK, sentence=sentence, seed=SEED, success=status.success,
                        progress=status.progress, elapsed_s=at_s, detail=status.detail, real_time_factor=1.0)  # fmt: skip
            sent.append(("sim/task_state", STATE, at_s, said))
    return sent, status.success


def write(folder, sent):
    """The bag of what was sent."""
    topics = {name: kind for name, kind, _, _ in sent}
    with BagWriter(folder) as bag:
        for name, kind in topics.items():
            bag.add_topic(BagTopic(f"/{name}", kind, STORE.generate_msgdef(kind, ros_version=2)[0]))
        for number, (name, kind, at_s, message) in enumerate(sorted(sent, key=lambda one: one[2])):
            at_ns = START + round(at_s * S)
            cdr = bytes(STORE.serialize_cdr(message, kind))
            bag.write(BagMessage(f"/{name}", cdr, at_ns + 200_000, at_ns, number + 1))
        bag.close({"instruction": "lift the brown box with both hands", "operator": "somebody"})
    return folder


def converted(bag, robot):
    """The dataset made from a bag, as ``gr00t data convert`` makes it."""
    (report,) = convert_bags([bag], bag.with_name(f"{bag.name}_data"), Conversion(robot))
    assert report.outcome == "converted", report.detail
    return bag.with_name(f"{bag.name}_data")


def test_what_a_person_recorded_in_the_simulator_is_multiplied(sim, driven, tmp_path):
    sent, lifted = driven
    assert lifted
    folder = converted(write(tmp_path / "bag", sent), sim.embodiment)
    (line,) = read_lines(folder / "meta" / "episodes.jsonl", ("seed",))
    assert (line["seed"], line["sim_task"], line["success"]) == (SEED, TASK, True)
    task, recorded = read_source(folder, sim.embodiment)
    assert (task, [one.seed for one in recorded]) == (TASK, [SEED])
    sources, refused = prepare(sim, recorded)
    assert refused == {}
    recipe = Recipe(
        TASK, tuple(sources), MotionSettings(ticks_per_picture=1000), digest_of(recorded), code_digest(MULTIPLYING)[:16]
    )
    outcomes = (multiply_seed(recipe, seed) for seed in range(700000, 700005))
    kept = next(outcome for outcome in outcomes if outcome.kept)
    assert kept.source == 0 and kept.files


def test_a_recording_over_a_reset_says_no_scene_and_is_refused_as_a_source(sim, driven, tmp_path):
    sent = [
        (name, kind, at_s, made(STATE, **{**vars(message), "seed": SEED + (at_s > 1.5)}) if kind == STATE else message)
        for name, kind, at_s, message in driven[0]
    ]
    folder = converted(write(tmp_path / "bag", sent), sim.embodiment)
    (line,) = read_lines(folder / "meta" / "episodes.jsonl", ())
    assert "seed" not in line and "sim_task" not in line
    with pytest.raises(DatasetError, match=r"does not say the seed of its scene.*in one scene each"):
        read_source(folder, sim.embodiment, TASK)
