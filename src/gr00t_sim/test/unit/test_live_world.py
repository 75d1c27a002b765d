# SPDX-License-Identifier: Apache-2.0
"""The simulation behaves like a machine: it keeps real time, obeys commands in time, and holds when they stop."""

import numpy as np
import pytest
from placed import put

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.core.types import JointCommand
from gr00t_sim.ros.config import SimConfig
from gr00t_sim.ros.live_world import LiveWorld
from gr00t_sim.tasks.task import TaskError

GR1 = load_embodiment("gr1")
MS = 1_000_000
STAMP_NS = 1_700_000_000 * 10**9  # the stamps' clock at steady time 0


class Machine:
    """A live world on a fake steady clock."""

    def __init__(self) -> None:
        self.world = LiveWorld("pick_named_object", GR1, 1, "", command_timeout_s=0.1)
        self.now_ns = 7_000_000_000
        self.world.resume(self.now_ns)

    def run(self, seconds: float, slice_ms: int = 4):
        reading = None
        for _ in range(round(1000 * seconds / slice_ms)):
            self.now_ns += slice_ms * MS
            reading = self.world.advance(self.now_ns)
        return reading

    def command(self, positions: np.ndarray, ramp_ms: float = 8, names=GR1.joint_names, answers_ns: int | None = None):
        stamp_ns = STAMP_NS + self.now_ns
        command = JointCommand(stamp_ns + round(ramp_ms * MS), tuple(names), positions)
        self.world.command(self.now_ns, command, stamp_ns if answers_ns is None else answers_ns, stamp_ns)

    @property
    def targets(self) -> np.ndarray:
        return self.world.sim.joint_targets()


@pytest.fixture(scope="module")
def built() -> Machine:
    return Machine()


@pytest.fixture
def machine(built: Machine) -> Machine:
    built.world.reset("", 1, "", lambda: STAMP_NS)
    built.world.resume(built.now_ns)
    built.world.refused.clear()
    return built


def test_physics_keeps_step_with_the_steady_clock_however_ticks_fall(machine):
    start_s = machine.world.sim.time_s
    rng = np.random.default_rng(0)
    for _ in range(200):
        machine.now_ns += int(rng.integers(1, 9 * MS))
        machine.world.advance(machine.now_ns)
    elapsed_s = machine.world.sim.time_s - start_s
    assert machine.world.verdict().real_time_factor == pytest.approx(1.0, abs=0.01)
    assert elapsed_s == pytest.approx(200 * 4.5e-3, rel=0.15)


def test_a_long_sleep_is_a_pause_of_the_world_and_shows_in_the_real_time_factor(machine):
    machine.run(1.0)
    start_s = machine.world.sim.time_s
    machine.now_ns += 1000 * MS
    machine.world.advance(machine.now_ns)
    assert machine.world.sim.time_s - start_s == pytest.approx(0.1)
    assert machine.world.verdict().real_time_factor < 0.7


def test_a_command_is_reached_by_a_straight_ramp_at_its_time(machine):
    before = machine.targets
    target = before.copy()
    target[3] += 0.1
    machine.command(target, ramp_ms=20)
    machine.run(0.008)
    assert machine.targets[3] - before[3] == pytest.approx(0.04)
    machine.run(0.012)
    assert machine.targets[3] - before[3] == pytest.approx(0.1)
    assert np.delete(machine.targets, 3) == pytest.approx(np.delete(before, 3))


def test_joints_a_command_does_not_name_keep_their_targets_and_order_does_not_matter(machine):
    before = machine.targets
    machine.command(np.array([0.2, -1.5]), names=("waist_yaw_joint", "left_elbow_pitch_joint"))
    machine.run(0.02)
    expected = dict(zip(GR1.joint_names, before, strict=True)) | {
        "waist_yaw_joint": 0.2,
        "left_elbow_pitch_joint": -1.5,
    }
    assert machine.targets == pytest.approx([expected[name] for name in GR1.joint_names])


def test_a_command_does_not_act_before_it_comes(machine):
    """Physics is computed in slices; what comes between two of them must not reach back to the first."""
    column = GR1.joint_names.index("right_shoulder_pitch_joint")
    machine.run(0.1)
    machine.now_ns += 40 * MS  # a long slice is due
    target = machine.targets
    target[column] -= 0.05
    machine.command(target, ramp_ms=4)
    early = machine.world.advance(machine.now_ns)
    assert abs(early.velocities[column]) < 0.02
    assert abs(machine.run(0.02).velocities[column]) > 0.1


def test_joints_between_two_steps_of_physics_are_those_of_that_moment(machine):
    """120 moments a second on steps of 2 ms: positions grow as evenly as the joint moves."""
    column = GR1.joint_names.index("right_shoulder_pitch_joint")
    target = machine.targets
    target[column] -= 0.5
    machine.command(target, ramp_ms=500)
    places = []
    for _ in range(11):
        machine.now_ns += 25_000_000 // 3
        places.append(machine.world.advance(machine.now_ns).positions[column])
    steps = np.diff(places[3:])  # once it moves
    bends = np.diff(steps, 2)
    assert np.abs(bends).max() < 0.05 * np.abs(steps).mean()  # whole steps alone: 8 or 10 ms, 20 % apart


def test_without_commands_for_100_ms_the_targets_are_held_where_they_are(machine):
    target, before = machine.targets, machine.world.timeouts
    target[3] += 0.5
    machine.command(target, ramp_ms=500)
    machine.run(0.08)
    assert machine.world.timeouts == before
    machine.run(0.1)
    held = machine.targets
    machine.run(0.5)
    assert machine.world.timeouts == before + 1
    assert machine.targets == pytest.approx(held)
    assert 0.05 < machine.targets[3] - (target[3] - 0.5) < 0.2


@pytest.mark.parametrize(
    ("names", "positions", "words"),
    [
        (("tail_joint",), np.zeros(1), "tail_joint"),
        (("waist_yaw_joint", "waist_yaw_joint"), np.zeros(2), "repeated"),
        (("waist_yaw_joint",), np.zeros(2), "2 values"),
        (("waist_yaw_joint",), np.array([np.nan]), "not finite"),
    ],
)
def test_what_is_not_a_command_is_refused_counted_and_moves_nothing(machine, names, positions, words):
    before = machine.targets
    with pytest.raises(MessageError, match=words):
        machine.command(positions, names=names)
    machine.run(0.02)
    assert machine.targets == pytest.approx(before)
    assert sum(machine.world.refused.values()) == 1


def test_a_command_that_comes_far_too_late_is_refused(machine):
    with pytest.raises(MessageError, match="ago"):
        machine.command(machine.targets, ramp_ms=-150)


def test_a_command_without_a_stamp_is_meant_from_now_on(machine):
    target = machine.targets
    target[3] += 0.05
    command = JointCommand(20 * MS, GR1.joint_names, target)
    machine.world.command(machine.now_ns, command, 0, STAMP_NS + machine.now_ns)
    machine.run(0.02)
    assert machine.targets[3] == pytest.approx(target[3])


def test_commands_that_answer_a_joint_state_from_before_the_reset_are_dropped(machine):
    old_ns = STAMP_NS + machine.now_ns
    machine.run(0.1)
    machine.world.reset("", 2, "", lambda: STAMP_NS + machine.now_ns)
    home = machine.targets
    with pytest.raises(MessageError, match="before the reset"):
        machine.command(home + 0.3, answers_ns=old_ns)
    machine.command(home + 0.01)


def test_the_same_seed_gives_the_same_scene_and_sentence(machine):
    first = machine.world.reset("", 5, "", lambda: STAMP_NS)
    placed = machine.world.sim.data.qpos.copy()
    machine.world.reset("", 6, "", lambda: STAMP_NS)
    assert machine.world.reset("", 5, "", lambda: STAMP_NS) == first
    assert (machine.world.sim.data.qpos == placed).all()


def test_a_sentence_of_ones_own_is_kept(machine):
    sentence = "pick up the yellow ball and place it in the blue bin"
    assert machine.world.reset("", 1, sentence, lambda: STAMP_NS) == sentence
    assert machine.world.verdict().sentence == sentence


def test_an_unknown_task_is_refused_and_the_scene_stays(machine):
    with pytest.raises(TaskError, match="juggle"):
        machine.world.reset("juggle", 1, "", lambda: STAMP_NS)
    assert machine.world.verdict().task == "pick_named_object"


def test_success_stays_once_it_was_reached(machine, monkeypatch):
    judge = machine.world.sim.task.judge
    monkeypatch.setattr(machine.world.sim.task, "judge", lambda *_: (True, 1.0, "done"))
    machine.run(0.052)
    assert machine.world.verdict().success
    monkeypatch.setattr(machine.world.sim.task, "judge", judge)
    machine.run(0.052)
    assert machine.world.verdict().success and machine.world.verdict().progress == 1.0
    machine.world.reset("", 1, "", lambda: STAMP_NS)
    assert not machine.world.verdict().success


def test_a_short_lift_spoils_a_push_however_seldom_the_verdict_is_asked_for(machine):
    """The referee remembers what it saw, so it must look as often as in an evaluation: lifted for 0.15 s."""
    world = machine.world
    world.reset("push_to_zone", 3, "push the red puck into the yellow zone", lambda: STAMP_NS)
    zone, kind = world.sim.place_of("yellow zone"), world.sim.task.kind("red puck")
    for phase_ms in range(0, 200, 40):
        world.reset("", 3, "push the red puck into the yellow zone", lambda: STAMP_NS)
        machine.run(phase_ms / 1000)
        put(world.sim, "red puck", zone + np.array([-0.1, 0.0, kind.height_m + 0.06]))
        world.sim.model.opt.gravity[:] = 0
        machine.run(0.148)
        world.sim.model.opt.gravity[:] = (0, 0, -9.81)
        put(world.sim, "red puck", zone + np.array([0.0, 0.0, kind.height_m]))
        machine.run(0.1)
        verdict = world.verdict()
        assert (verdict.success, verdict.detail) == (False, "red puck was lifted, not pushed"), phase_ms
    world.reset("pick_named_object", 1, "", lambda: STAMP_NS)


def test_the_referee_looks_20_times_in_a_simulated_second_whatever_the_slices_and_at_once_in_a_new_scene(
    machine, monkeypatch
):
    world, looked_s = machine.world, []
    judge = world.sim.task.judge

    def watched(model, data):
        looked_s.append(data.time)
        return judge(model, data)

    monkeypatch.setattr(world.sim.task, "judge", watched)
    world.reset("", 1, "", lambda: STAMP_NS)
    for slice_ms in (4, 25, 90):
        machine.run(0.5, slice_ms)
    assert np.diff(looked_s) == pytest.approx(0.05) and len(looked_s) >= 29
    world.ask("put the green cube into the blue bin")
    assert world.verdict().sentence == "put the green cube into the blue bin"
    assert looked_s[-1] == world.sim.time_s
    seen = len(looked_s)
    world.verdict()
    assert len(looked_s) == seen, "to ask for the verdict is not to judge"


def test_the_home_pose_is_held_without_any_command(machine):
    before = machine.world.sim.joint_positions()
    reading = machine.run(1.0)
    assert np.abs(reading.positions - before).max() < 0.05
    assert np.abs(reading.velocities).max() < 0.5


@pytest.mark.parametrize(
    "settings",
    [{"clock_rate_hz": 500}, {"joint_state_rate_hz": 240, "clock_rate_hz": 100}, {"clock_rate_hz": 100}],
)
def test_a_clock_that_does_not_fit_the_joint_states_is_refused(settings):
    with pytest.raises(ConfigError, match="must divide"):
        SimConfig(**settings)


def test_joint_states_are_of_the_same_part_of_the_gates_period_at_any_rate():
    settings = SimConfig()
    assert (settings.lead_ns, settings.ahead_ns) == (5_000_000, 1_000_000)
    for rate_hz, gate_rate_hz in ((60, 120.0), (120, 60.0), (240, 240.0), (500, 500.0), (50, 100.0)):
        settings = SimConfig(joint_state_rate_hz=rate_hz, clock_rate_hz=10, gate_rate_hz=gate_rate_hz)
        assert settings.grid is not None
        assert settings.lead_ns * gate_rate_hz / 1e9 == pytest.approx(0.6, abs=1e-3)
        assert settings.ahead_ns * rate_hz / 1e9 == pytest.approx(0.12, abs=1e-3)
    assert SimConfig(joint_state_rate_hz=100, clock_rate_hz=100).grid is None


def test_a_lead_of_joint_states_that_is_longer_than_the_gates_period_is_refused():
    with pytest.raises(ConfigError, match=r"joint_state_lead_s is 0\.005; at gate_rate_hz 250.*0\.004000 s"):
        SimConfig(joint_state_lead_s=0.005, gate_rate_hz=250.0)
