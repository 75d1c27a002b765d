# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent to the gate, what it gives to the robot keeps every bound on every tick. Judged independently."""

import numpy as np

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_safety.config import GateConfig
from gr00t_safety.ladder import State
from gr00t_safety.testing import GateRig, MotionJudge

GR1 = load_embodiment("gr1")
CLEAN = dict.fromkeys(("not finite", "position", "velocity", "acceleration"), 0)
LIMITS = np.array([(joint.lower_rad, joint.upper_rad) for joint in GR1.joints]).T
POISON = np.array([np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, -0.0, 180.0])


def hostile_target(rng: np.random.Generator, home: np.ndarray, tick: int) -> np.ndarray:
    """Steps, sign flips, noise, slow drifts, and now and then a value no command may have."""
    kind = (tick // 40) % 6
    amplitude = (0.3, 0.5, 0.05, 0.9, 0.4, 1.5)[kind]
    if kind == 0:
        target = home + amplitude * np.sign(np.sin(tick / 20))
    elif kind == 1:
        target = home + amplitude * (-1.0) ** tick
    elif kind == 3:
        target = home + amplitude * np.sin(tick / 15 + np.arange(len(home)))
    else:
        target = home + rng.uniform(-amplitude, amplitude, len(home))
    if rng.random() < 0.003:
        target[rng.integers(len(home))] = rng.choice(POISON)
    return target


def torture(ticks: int, seed: int) -> tuple[GateRig, float]:
    """Drive a gate through ``ticks`` of everything that can go wrong; returns it and the share of it ACTIVE."""
    rng = np.random.default_rng(seed)
    rig = GateRig(GR1, GateConfig(transition_s=0.1, healthy_s=0.05, max_start_s=0.5))
    rig.gate.activate()
    active = 0
    for tick in range(ticks):
        if rng.random() < 0.985:
            rig.measure(np.clip(rig.robot + rng.normal(0, 1e-3, 32), *LIMITS))
        if rng.random() < 0.97:
            rig.command(hostile_target(rng, rig.home(), tick))
        draw = rng.random()
        if draw < 0.0005:
            rig.gate.stop()
        elif draw < 0.001:
            rig.gate.select(rng.choice(["policy", "teleop", ""]))
        elif draw < 0.0015:
            rig.gate.publishers("policy", int(rng.integers(1, 3)))
        elif draw < 0.02:
            rig.gate.publishers("policy", 1)
            rig.gate.select("policy")
            rig.gate.reset(rig.now_ns)
        if rng.random() < 0.001:
            slept_ns = int(rng.integers(0, 200_000_000))
            rig.now_ns += slept_ns
            if (
                slept_ns + rig.gate.tick_ns >= 100_000_000
            ):  # of joint states: from then on the robot is held where it stands
                rig.judge.rested()
        rig.tick()
        active += rig.state is State.ACTIVE
    return rig, active / ticks


def test_no_bound_is_broken_in_100000_hostile_ticks():
    rig, active = torture(100_000, seed=7)
    assert active > 0.3, "the gate must have been moving for this to prove anything"
    assert len(rig.judge.applied) > 50_000
    moved = np.ptp(np.array(rig.judge.applied), axis=0)
    assert (moved[rig.columns] > 0.1).all()
    assert rig.judge.violations() == CLEAN


def test_the_judge_sees_a_gate_that_does_not_limit():
    """Negative control: the same hostile commands without a gate break every bound."""
    rng, home = np.random.default_rng(7), GR1.positions_by_name(GR1.home)
    judge = MotionJudge(GR1, 1 / 120, [hostile_target(rng, home, tick) for tick in range(2000)])
    assert all(count > 0 for count in judge.violations().values())


def test_sign_flips_at_full_rate_stay_within_the_acceleration_limit():
    rig = GateRig(GR1, GateConfig(transition_s=0.0))
    rig.start()
    for tick in range(2000):
        rig.run(0.009, rig.home() + 0.3 * (-1.0) ** tick)
    assert rig.judge.violations() == CLEAN


def test_full_speed_into_every_position_limit_does_not_overshoot():
    rig = GateRig(GR1, GateConfig(transition_s=0.0))
    rig.start()
    target = rig.home().copy()
    for sign in (1.0, -1.0, 1.0):
        for _ in range(400):
            target = target + sign * 0.02
            target = np.clip(target, LIMITS[0, rig.columns] - 0.4, LIMITS[1, rig.columns] + 0.4)
            rig.run(0.009, target)
        assert rig.state is State.ACTIVE
        assert np.abs(rig.robot[rig.columns] - np.clip(target, *LIMITS[:, rig.columns])).max() < 1e-3
    assert rig.judge.violations() == CLEAN


def test_a_policy_like_motion_passes_the_gate_nearly_unchanged():
    """A smooth reach at a third of the speed limit: one tick after its arrival a command is the output."""
    rig = GateRig(GR1, GateConfig(transition_s=0.0))
    rig.start()
    sent, given = [], []
    for k in range(240):
        target = rig.home() + 0.25 * (1 - np.cos(2.5 * k / 120)) * np.linspace(0.2, 1, len(rig.names))
        target = np.clip(target, *LIMITS[:, rig.columns])
        sent.append(target)
        rig.run(0.009, target)
        given.append(rig.robot[rig.columns])
    assert np.abs(np.array(given[10:]) - np.array(sent[10:])).max() < 1e-6
