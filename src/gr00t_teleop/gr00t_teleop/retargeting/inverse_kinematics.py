# SPDX-License-Identifier: Apache-2.0
"""Both arms (and the waist, when allowed) after two wrist targets: one quadratic program per tick, solved with daqp.

The program weighs wrist motion against rest posture inside the box of what joints may do in a tick, with a row for each
nearest pair of spheres: a gap may close only as fast as it can be stopped. The rows make self-collision rare; the veto at the
end makes it impossible: a step that would bring two parts nearer than ``VETO_GAP_M`` is halved, at last not taken.
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
VETO_GAP_M = 0.015  # nearer than this no step leads
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
_WRIST_WEIGHTS = np.array([1.0] * 3 + [_ROTATION_WEIGHT] * 3)
_WEIGHTS_OF = [np.tile(_WRIST_WEIGHTS, wrists) for wrists in range(len(SIDES) + 1)]
_POSTURE_WEIGHT, _POSTURE_RATE_HZ = 1e-4, 1.0  # centres the free elbow; moves a reachable wrist by less than 0.1 mm
_WAIST_WEIGHT = 0.05  # the arms do what they can alone
_DAMPING = 1e-5
# How a wrist closes an error: in proportion when near, no faster than it can brake when far.
_ERROR_RATE_HZ, _BRAKING_M_S2, _BRAKING_RAD_S2 = 25.0, 4.0, 12.0
_HALVINGS = 4


@dataclass(frozen=True)
class WristTarget:
    """Where a wrist shall be in the base frame, and how it moved there since the last tick: (3,) [m], (3,) [rad]."""

    pose: Pose
    shift: Vector = field(default_factory=lambda: np.zeros(3))
    turn: Vector = field(default_factory=lambda: np.zeros(3))


@dataclass(frozen=True)
class _Standing:
    """What a pose alone decides: gaps (P,) [m] of all pairs, the nearest of them; of each wrist its pose and Jacobian (6, J)."""

    gaps: Vector
    near: NearPairs
    wrists: dict[str, tuple[Pose, Matrix]]


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
        self._no_rows = NearPairs(np.zeros(0), np.zeros((0, len(joints))))
        self.reset(np.zeros(len(joints)))

    def reset(self, positions: Vector) -> None:
        """Start from these joint positions (J,), at rest; they become the rest posture."""
        if positions.shape != (len(self.names),):
            raise EmbodimentError(f"expected {len(self.names)} positions of arms and waist, got {positions.shape}")
        self.positions = positions.copy()
        self.step_taken = np.zeros(len(self.names))
        self._standing: _Standing | None = None
        self._gaps: Gaps | None = None  # of ``positions``, known from checking the step that led there
        self.pin_posture()

    def pin_posture(self) -> None:
        """The free motion of the arms rests where it is now."""
        self._rest = self.positions.copy()

    def wrist(self, side: str, positions: Vector | None = None) -> Pose:
        """Pose of a wrist in the base frame, of the commanded or of other joint positions (J,)."""
        self.model.update(self.positions if positions is None else positions)
        return self.model.pose(self.frames[side])

    def step(self, targets: Mapping[str, WristTarget], pace: float = 1.0) -> Vector:
        """Move one tick towards the targets and return the new positions (J,) [rad].

        An arm without target brakes and stands still. pace: factor on speed and acceleration, for a gentle start.
        """
        standing = self._standing or self._look()
        limits = self._limits if pace == 1.0 else self._limits.slower(pace)
        low, high = step_bounds(limits, self.positions, self.step_taken)
        held = self._held(targets)
        brake = braking_step(limits, self.step_taken)
        low[held], high[held] = brake[held], brake[held]
        hessian, gradient = self._costs(targets, standing.wrists)
        near = standing.near
        wanted = _solve(hessian, gradient, low, high, near, self.dt_s)
        if wanted is None:  # rows against braking: stopping at once is then what is left, and always possible
            wanted = _solve(hessian, gradient, np.minimum(low, 0.0), np.maximum(high, 0.0), near, self.dt_s)
        if wanted is None:
            self.unsolved += 1
            wanted = np.zeros(len(self.names))
        wanted = np.minimum(np.maximum(wanted, np.minimum(low, 0.0)), np.maximum(high, 0.0))
        wanted[held & (brake == 0.0)] = 0.0  # a held arm does not creep by round-off
        self.step_taken = self._checked(wanted, standing.gaps)
        self.positions = self.positions + self.step_taken
        self._standing = None
        return self.positions.copy()

    def prepare(self) -> None:
        """Compute now what the next step needs of the pose alone, half of its work; otherwise ``step`` does it itself."""
        if self._standing is None:
            self._standing = self._look()

    def _look(self) -> _Standing:
        self.model.update_with_jacobians(self.positions)
        gaps = self._gaps or self.collision.gaps()
        wrists = {side: (self.model.pose(frame), self.model.jacobian(frame)) for side, frame in self.frames.items()}
        return _Standing(gaps.gaps, self.collision.nearest(gaps, _MAX_ROWS, _LOOK_M), wrists)

    def _held(self, targets: Mapping[str, WristTarget]) -> NDArray[np.bool_]:
        held = np.zeros(len(self.names), bool)
        for side in SIDES:
            held[self.columns[f"{side}_arm"]] = side not in targets
        held[self.columns["waist"]] = not (self._use_waist and targets)
        return held

    def _costs(
        self, targets: Mapping[str, WristTarget], wrists: Mapping[str, tuple[Pose, Matrix]]
    ) -> tuple[Matrix, Vector]:
        """Quadratic and linear cost of a step."""
        posture = self._weights * (self.positions - self._rest) * (_POSTURE_RATE_HZ * self.dt_s)
        hessian = np.diag(self._weights + _DAMPING)
        if targets:
            rows = np.concatenate([wrists[side][1] for side in targets])
            moves = np.concatenate([self._move(wrists[side][0], target) for side, target in targets.items()])
            weighted = rows.T * _WEIGHTS_OF[len(targets)]
            hessian += weighted @ rows
            posture -= weighted @ moves
        return hessian, posture

    def _move(self, now: Pose, target: WristTarget) -> Vector:
        """(6,) what a wrist shall move [m] and turn [rad] in this tick."""
        error = target.pose.position - target.shift - now.position
        missing = rotation_vector(target.pose.rotation @ now.rotation.T) - target.turn
        shift = target.shift + self._approach(error, _BRAKING_M_S2)
        return np.concatenate([shift, target.turn + self._approach(missing, _BRAKING_RAD_S2)])

    def _approach(self, error: Vector, braking: float) -> Vector:
        """Part of an error (3,) to close in this tick."""
        size = math.sqrt(error @ error)
        if size < 1e-12:
            return error
        speed = min(_ERROR_RATE_HZ * size, math.sqrt(2.0 * braking * size))
        return np.asarray(error * (speed * self.dt_s / size))

    def _checked(self, step: Vector, before: Vector) -> Vector:
        """The step, or the largest half of it that brings no two parts too near; gaps that are small may only grow.

        before: gaps (P,) [m] of all pairs without it.
        """
        allowed = np.minimum(before, VETO_GAP_M) - 1e-9
        for halving in range(_HALVINGS):
            self.model.update(self.positions + step)
            self._gaps = self.collision.gaps()
            if (self._gaps.gaps >= allowed).all():
                self.vetoed += halving > 0
                return step
            step = step / 2
        self._gaps = None
        self.vetoed += 1
        return np.zeros_like(step)


def _solve(hessian: Matrix, gradient: Vector, low: Vector, high: Vector, near: NearPairs, dt_s: float) -> Vector | None:
    """The cheapest step in the box that closes no gap too fast, None when there is none."""
    import daqp

    room = np.maximum(near.gaps - ROW_GAP_M, 0.0)
    slowest = np.concatenate([low, -_CLOSING_RATE_HZ * dt_s * room])
    highest = np.concatenate([high, np.full(len(room), np.inf)])
    sense = np.zeros(len(highest), np.int32)
    step, _, exit_flag, _ = daqp.solve(hessian, gradient, near.gradients, highest, slowest, sense)
    return np.asarray(step) if exit_flag == 1 else None


def _columns(joints: tuple[object, ...], group: str) -> slice:
    indices = [index for index, joint in enumerate(joints) if getattr(joint, "group", "") == group]
    return slice(indices[0], indices[-1] + 1)
