# SPDX-License-Identifier: Apache-2.0
"""Both arms (and the waist, when allowed) after two wrist targets: one quadratic program per tick, solved with daqp.

The program weighs wrist motion against rest posture inside the box of what joints may do in a tick, with a row for each
nearest pair of spheres: a gap may close only as fast as it can be stopped. Where no joint can brake as hard as the rows ask, the
box wins: a command beyond it would not be followed by the gate, and the arm would be elsewhere than here. The rows make
self-collision rare; the veto at the end makes it impossible: a step that would bring two parts nearer than ``VETO_GAP_M`` is
shortened towards braking, where braking is not enough beyond it, at last not taken.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import EmbodimentError
from gr00t_teleop.retargeting.pose import Pose, rotation_vector
from gr00t_teleop.retargeting.robot_model import RobotModel
from gr00t_teleop.retargeting.self_collision import Gaps, NearPairs, SelfCollision
from gr00t_teleop.retargeting.step_bounds import braking_step, joint_limits, step_bounds

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

SIDES = ("left", "right")
ROW_GAP_M = 0.020  # the rows keep this much between any two parts
VETO_GAP_M = 0.010  # nearer than this no step leads
_LOOK_M = 0.25  # pairs further apart cannot meet within the time the rows look ahead
_MAX_ROWS = 32
_CLOSING_RATE_HZ = 5.0  # a gap closes by at most this share of itself per second
_ELBOW_UPPER_RAD = 0.0  # the URDF lets the elbow bend backwards, the arm does not
_ELBOW_LOWER_RAD = -2.0  # it allows -2.27, but at -2.12 the wrist's hull meets the upper arm and the arm is stuck
_SHOULDER_ROLL_INWARD_RAD = (
    0.12  # it allows 0.57, but from 0.2 on the upper arm is in the torso, whatever the other joints do
)
_OWN_LIMITS_RAD = {
    "left_elbow_pitch_joint": (_ELBOW_LOWER_RAD, _ELBOW_UPPER_RAD),
    "right_elbow_pitch_joint": (_ELBOW_LOWER_RAD, _ELBOW_UPPER_RAD),
    "left_shoulder_roll_joint": (-_SHOULDER_ROLL_INWARD_RAD, math.inf),
    "right_shoulder_roll_joint": (-math.inf, _SHOULDER_ROLL_INWARD_RAD),
}
_LIMIT_MARGIN_RAD = 0.005
# A radian of the wrist weighs like 0.2 m: the hand is about that long, so its tips matter as much as its root.
_ROTATION_WEIGHT = 0.2**2
_WEIGHTS = np.tile([1.0] * 3 + [_ROTATION_WEIGHT] * 3, len(SIDES))
_ROWS_OF = {side: slice(6 * place, 6 * place + 6) for place, side in enumerate(SIDES)}
_POSTURE_WEIGHT, _POSTURE_RATE_HZ = 1e-4, 1.0  # centres the free elbow; moves a reachable wrist by less than 0.1 mm
_WAIST_WEIGHT = 0.05  # the arms do what they can alone
_DAMPING = 1e-5
# How a wrist closes an error: in proportion when near, no faster than it can brake when far.
_ERROR_RATE_HZ, _BRAKING_M_S2, _BRAKING_RAD_S2 = 25.0, 4.0, 12.0
# What is tried in turn of a step and of braking, until no two parts come too near. Between the two it is in the box of what
# joints may do, as both are; less than braking is not: the gate is elsewhere than here for a few ticks, the lesser evil.
_SHORTER = ((1.0, 0.0), (0.5, 0.5), (0.25, 0.75), (0.0, 1.0), (0.0, 0.5))
_HARD, _SOFT, _SOLVED = (
    0,
    8,
    (1, 2),
)  # daqp's marks of constraints, and its flags: optimal, optimal with soft ones broken


@dataclass(frozen=True)
class WristTarget:
    """Where a wrist shall be in the base frame, and how it moved there since the last tick: (3,) [m], (3,) [rad]."""

    pose: Pose
    shift: Vector = field(default_factory=lambda: np.zeros(3))
    turn: Vector = field(default_factory=lambda: np.zeros(3))


@dataclass(frozen=True)
class _Standing:
    """What a pose alone decides: gaps (P,) [m] of all pairs, the nearest of them; the wrists' poses and Jacobians (12, J)."""

    gaps: Vector
    near: NearPairs
    wrists: dict[str, Pose]
    jacobians: Matrix


class _Bounds:
    """Of the joints' steps, then of the rows: lower and upper, and the solver's marks, of which there are none."""

    def __init__(self, joints: int) -> None:
        self.lower, self.upper = np.zeros(joints + _MAX_ROWS), np.full(joints + _MAX_ROWS, np.inf)
        self.sense = np.zeros(joints + _MAX_ROWS, np.int32)


class InverseKinematics:
    """Keeps the commanded pose of the joints ``names`` and moves it tick by tick. One owner."""

    def __init__(
        self, embodiment: Embodiment, dt_s: float, *, use_waist: bool, speed: float = 1.0, acceleration: float = 1.0
    ) -> None:
        joints = tuple(joint for joint in embodiment.joints if joint.group in ("left_arm", "right_arm", "waist"))
        self.names = tuple(joint.name for joint in joints)
        self.dt_s = dt_s
        self.model = RobotModel(embodiment, self.names)
        self.collision = SelfCollision(self.model)
        self.frames = {side: self.model.frame(f"{side}_end_effector_link") for side in SIDES}
        self.columns = {group: _columns(joints, group) for group in ("left_arm", "right_arm", "waist")}
        self.vetoed = 0  # steps that had to be shortened
        self.unsolved = 0  # steps for which there was no solution
        self._limits = joint_limits(joints, dt_s, speed, acceleration, _LIMIT_MARGIN_RAD)
        for name, (lower, upper) in _OWN_LIMITS_RAD.items():
            index = self.names.index(name)
            self._limits.lower[index] = max(self._limits.lower[index], lower)
            self._limits.upper[index] = min(self._limits.upper[index], upper)
        self._use_waist = use_waist
        self._weights = np.full(len(joints), _POSTURE_WEIGHT)
        self._weights[self.columns["waist"]] = _WAIST_WEIGHT
        self._own_cost = np.diag(self._weights + _DAMPING)
        self._pull = self._weights * (_POSTURE_RATE_HZ * dt_s)
        self._held_of: dict[tuple[str, ...], NDArray[np.bool_]] = {}
        self._bounds = _Bounds(len(joints))
        self.reset(np.zeros(len(joints)))

    def reset(self, positions: Vector) -> None:
        """Start from these joint positions (J,), at rest; they become the rest posture."""
        if positions.shape != (len(self.names),):
            raise EmbodimentError(f"expected {len(self.names)} positions of arms and waist, got {positions.shape}")
        self.positions = positions.copy()
        self.step_taken = np.zeros(len(self.names))
        self._standing: _Standing | None = None
        self._gaps: Gaps | None = None  # of ``positions``, known from checking the step that led there
        self._posed: Vector | None = None  # the very positions that the model was last updated with, Jacobians too
        self.pin_posture()

    def pin_posture(self) -> None:
        """The free motion of the arms rests where it is now."""
        self._rest = self.positions.copy()

    def wrist(self, side: str, positions: Vector | None = None) -> Pose:
        """Pose of a wrist in the base frame, of the commanded or of other joint positions (J,)."""
        self._posed = None
        self.model.update(self.positions if positions is None else positions)
        return self.model.pose(self.frames[side])

    def step(self, targets: Mapping[str, WristTarget], pace: float = 1.0) -> Vector:
        """Move one tick towards the targets and return the new positions (J,) [rad].

        An arm without target brakes and stands still. pace: factor on speed and acceleration, for a gentle start.
        """
        standing = self._standing or self._look()
        limits = self._limits if pace == 1.0 else self._limits.slower(pace)
        low, high = step_bounds(limits, self.positions, self.step_taken)
        held = self._held(tuple(targets))
        brake = braking_step(limits, self.step_taken)
        np.copyto(low, brake, where=held)
        np.copyto(high, brake, where=held)
        hessian, gradient = self._costs(targets, standing)
        wanted = self._solve(hessian, gradient, low, high, standing.near)
        if wanted is None:  # no joint can brake as hard as the rows ask; what it cannot do the gate would not do either
            wanted = self._solve(hessian, gradient, low, high, standing.near, rows=_SOFT)
        if wanted is None:
            self.unsolved += 1
            wanted = brake
        wanted, brake = (np.minimum(np.maximum(each, low), high) for each in (wanted, brake))
        wanted[held & (brake == 0.0)] = 0.0  # a held arm does not creep by round-off
        self.step_taken, self.positions = self._checked(wanted, brake, standing.gaps)
        self._standing = None
        return self.positions.copy()

    def prepare(self) -> None:
        """Compute now what the next step needs of the pose alone, half of its work; otherwise ``step`` does it itself."""
        if self._standing is None:
            self._standing = self._look()

    def _look(self) -> _Standing:
        if self._posed is not self.positions:
            self.model.update_with_jacobians(self.positions)
        gaps = self._gaps or self.collision.gaps()
        found = {side: self.model.pose_and_jacobian(frame) for side, frame in self.frames.items()}
        wrists = {side: pose for side, (pose, _) in found.items()}
        jacobians = np.concatenate([jacobian for _, jacobian in found.values()])
        return _Standing(gaps.gaps, self.collision.nearest(gaps, _MAX_ROWS, _LOOK_M), wrists, jacobians)

    def _solve(
        self, hessian: Matrix, gradient: Vector, low: Vector, high: Vector, near: NearPairs, rows: int = _HARD
    ) -> Vector | None:
        """The cheapest step in the box that closes no gap too fast, or with soft rows as little too fast as can be; else None."""
        import daqp

        joints, count = len(low), len(low) + len(near.gaps)
        slowest, highest, sense = self._bounds.lower[:count], self._bounds.upper[:count], self._bounds.sense[:count]
        slowest[:joints], highest[:joints], sense[joints:] = low, high, rows
        slowest[joints:] = np.maximum(near.gaps - ROW_GAP_M, 0.0) * (-_CLOSING_RATE_HZ * self.dt_s)
        step, _, exit_flag, _ = daqp.solve(hessian, gradient, near.gradients, highest, slowest, sense)
        return np.asarray(step) if exit_flag in _SOLVED else None

    def _held(self, sides: tuple[str, ...]) -> NDArray[np.bool_]:
        """Which joints have no target when these wrists have one."""
        held = self._held_of.get(sides)
        if held is None:
            held = self._held_of[sides] = np.zeros(len(self.names), bool)
            for side in SIDES:
                held[self.columns[f"{side}_arm"]] = side not in sides
            held[self.columns["waist"]] = not (self._use_waist and sides)
        return held

    def _costs(self, targets: Mapping[str, WristTarget], standing: _Standing) -> tuple[Matrix, Vector]:
        """Quadratic and linear cost of a step."""
        posture = self._pull * (self.positions - self._rest)
        if not targets:
            return self._own_cost, posture
        moves, weights, rows = np.zeros(len(_WEIGHTS)), _WEIGHTS, standing.jacobians
        for side, target in targets.items():
            moves[_ROWS_OF[side]] = self._move(standing.wrists[side], target)
        if len(targets) < len(SIDES):
            (only,) = (_ROWS_OF[side] for side in targets)
            moves, weights, rows = moves[only], weights[only], rows[only]
        weighted = rows.T * weights
        return self._own_cost + weighted @ rows, posture - weighted @ moves

    def _move(self, now: Pose, target: WristTarget) -> list[float]:
        """(6,) what a wrist shall move [m] and turn [rad] in this tick.

        In plain numbers: for three of them numpy takes three times as long, and its code is not in the caches by then.
        """
        missing = rotation_vector(target.pose.rotation @ now.rotation.T)
        way = [a - b for a, b in zip(target.pose.position.tolist(), now.position.tolist(), strict=True)]
        shift = self._approach(way, target.shift.tolist(), _BRAKING_M_S2)
        return shift + self._approach(missing.tolist(), target.turn.tolist(), _BRAKING_RAD_S2)

    def _approach(self, way: list[float], own: list[float], braking: float) -> list[float]:
        """What the target moves itself, and the part to close in this tick of what is missing without that. (3,) each."""
        error = [a - b for a, b in zip(way, own, strict=True)]
        size = math.hypot(*error)
        share = min(_ERROR_RATE_HZ, math.sqrt(2.0 * braking / size)) * self.dt_s if size > 1e-12 else 0.0
        return [b + share * e for b, e in zip(own, error, strict=True)]

    def _checked(self, step: Vector, brake: Vector, before: Vector) -> tuple[Vector, Vector]:
        """The step, or what is left of it so that no two parts come too near, and where it leads; small gaps may only grow.

        brake: the step that slows down as hard as may be; before: gaps (P,) [m] of all pairs without a step.
        """
        allowed = np.minimum(before, VETO_GAP_M) - 1e-9
        for of_step, of_brake in _SHORTER:
            taken = step if of_step == 1.0 else of_step * step + of_brake * brake
            self._posed = after = self.positions + taken
            self.model.update_with_jacobians(after)
            self._gaps = self.collision.gaps()
            if (self._gaps.gaps >= allowed).all():
                self.vetoed += of_step < 1.0
                return taken, after
        self._gaps = self._posed = None
        self.vetoed += 1
        return np.zeros_like(step), self.positions


def _columns(joints: tuple[object, ...], group: str) -> slice:
    indices = [index for index, joint in enumerate(joints) if getattr(joint, "group", "") == group]
    return slice(indices[0], indices[-1] + 1)
