# SPDX-License-Identifier: Apache-2.0
"""For tests: people made of numbers, and a judge of the robot's motion that shares no code with retargeting."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.data.rotation import from_matrix
from gr00t_teleop.retargeting.fingers import FINGERS, hand_followers
from gr00t_teleop.retargeting.pose import Pose, rotation_from_vector
from gr00t_teleop.retargeting.robot_model import RobotModel
from gr00t_teleop.types import KEYPOINTS

Vector = NDArray[np.float64]


class WildMotion:
    """A wrist that swings about a centre without rest, now and then leaps, and often asks for what no arm can reach."""

    def __init__(self, centre: Pose, rng: np.random.Generator, reach_m: float = 0.35, leap_chance: float = 0.0) -> None:
        self._centre, self._rng, self._leap_chance = centre, rng, leap_chance
        self._speeds = rng.uniform(0.3, 6.0, (2, 3, 3))
        self._phases = rng.uniform(0.0, 2 * np.pi, (2, 3, 3))
        self._sizes = rng.uniform(0.0, reach_m, (2, 3, 3)) / 2
        self._leap = np.zeros(3)

    def at(self, time_s: float) -> Pose:
        """Where the wrist is; leaps happen at the call."""
        if self._rng.random() < self._leap_chance:
            self._leap = self._rng.uniform(-0.3, 0.3, 3)
        shift, turn = (self._sizes * np.sin(self._speeds * time_s + self._phases)).sum(axis=1)
        return Pose(
            self._centre.position + shift + self._leap, rotation_from_vector(3.0 * turn) @ self._centre.rotation
        )


@dataclass
class JointJudge:
    """Keeps the positions of some joints, one row per tick, and says what of them breaks the joint table."""

    embodiment: Embodiment
    names: tuple[str, ...]
    dt_s: float
    path: list[Vector] = field(default_factory=list)

    def violations(self) -> dict[str, int]:
        """Ticks with a value that is not finite, out of its limits, too fast or faster too soon."""
        joints = [self.embodiment.joint(name) for name in self.names]
        lower = np.array([joint.lower_rad for joint in joints])
        upper = np.array([joint.upper_rad for joint in joints])
        step = np.array([joint.max_velocity_rad_s for joint in joints]) * self.dt_s
        change = np.array([joint.max_acceleration_rad_s2 for joint in joints]) * self.dt_s**2
        path = np.array(self.path)
        return {
            "not finite": int((~np.isfinite(path)).any(axis=1).sum()),
            "position": int(((path < lower - 1e-9) | (path > upper + 1e-9)).any(axis=1).sum()),
            "velocity": int((np.abs(np.diff(path, axis=0)) > step + 1e-9).any(axis=1).sum()),
            "acceleration": int((np.abs(np.diff(path, 2, axis=0)) > change + 1e-9).any(axis=1).sum()),
        }


class RobotShapedHand:
    """Key points of a person whose hand is the robot's, larger or smaller, anywhere in space: what must come out is known."""

    def __init__(self, embodiment: Embodiment, side: str) -> None:
        mark = side[0].upper()
        self.names = tuple(joint.name for joint in embodiment.joints if joint.group == f"{side}_hand")
        self._model = RobotModel(embodiment, self.names, hand_followers(mark))
        self._frames = {
            name: self._model.frame(f"{mark}_{link}_link")
            for name, link in (
                ("wrist", "hand_base"),
                ("thumb_metacarpal", "thumb_proximal_yaw"),
                ("thumb_proximal", "thumb_proximal_pitch"),
                ("thumb_distal", "thumb_distal"),
                ("thumb_tip", "thumb_tip"),
                *(
                    (f"{human}_{part}", f"{robot}_{link}")
                    for human, robot in zip(("index", "middle", "ring", "little"), FINGERS[1:], strict=True)
                    for part, link in (("proximal", "proximal"), ("intermediate", "intermediate"), ("tip", "tip"))
                ),
            )
        }

    def keypoints(self, positions: Vector, scale: float = 1.0, place: Pose | None = None) -> NDArray[np.float64]:
        """(25, 7) for joint positions (6,) [rad] of the robot's hand; all rotations are that of ``place``."""
        self._model.update(positions)
        origin = self._model.pose(self._frames["wrist"]).position
        points = {name: self._model.pose(frame).position - origin for name, frame in self._frames.items()}
        for finger in ("index", "middle", "ring", "little"):
            points[f"{finger}_metacarpal"] = points[f"{finger}_proximal"] / 2
            points[f"{finger}_distal"] = (points[f"{finger}_intermediate"] + points[f"{finger}_tip"]) / 2
        place = place or Pose(np.zeros(3), np.eye(3))
        placed = np.array([place.position + scale * place.rotation @ points[name] for name in KEYPOINTS])
        return np.hstack([placed, np.tile(quaternion(place.rotation), (len(KEYPOINTS), 1))])


def quaternion(rotation: NDArray[np.float64]) -> Vector:
    """x y z w (4,), as in messages."""
    return from_matrix(rotation, "quaternion")[[1, 2, 3, 0]]
