# SPDX-License-Identifier: Apache-2.0
"""A cup of beads on a mat and two bowls: the beads go into the bowl that is named, the cup back onto its mat, upright."""

import mujoco
import numpy as np

from gr00t_sim.furniture import Zone
from gr00t_sim.objects import COLOURS
from gr00t_sim.tasks.place_task import hand_distance, is_lifted, left_alone, reaching
from gr00t_sim.tasks.sentences import Slots, Wish
from gr00t_sim.tasks.task import Goal, Task, Vector, object_position, side_of
from gr00t_sim.vessels import BowlKind, beads_in, cup

CUP, MAT = cup("yellow cup", "yellow"), Zone("mat", (0.25, 0.25, 0.28), radius_m=0.06)
BEADS = beads_in(CUP, 8, "blue")
ENOUGH = 6  # beads in the bowl
MAT_M = 0.04  # from the cup's centre to the mat's
_STANDING_COS, _STANDING_M = 0.98, 0.010
_RING_M = 0.020  # seven beads around one, on the cup's floor


class Pour(Task):
    """Success: at least six of the eight beads lie in the named bowl, the cup stands on its mat, hands away."""

    name = "pour"
    time_limit_s = 24.0
    objects = (CUP, *BEADS)
    bins = (BowlKind("white bowl", COLOURS["white"]), BowlKind("red bowl", COLOURS["red"]))
    fixtures = (MAT,)
    essential = ("pour", "cup")
    templates = (
        "pour the beads into the {bin} and set the cup back on its mat",
        "pour the cup out into the {bin}, then put it back upright",
        "take the cup, pour its beads into the {bin} and stand it on the mat again",
        "pour what is in the yellow cup into the {bin}, then return the cup to the mat",
        "the {bin} gets the beads: pour them in and put the cup back where it was",
    )

    @property
    def slots(self) -> Slots:
        return {"bin": tuple(kind.name for kind in self.bins)}

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, Vector], dict[str, Vector]]:
        side = rng.choice([1.0, -1.0])
        place = rng.uniform([0.30, 0.17], [0.35, 0.24]) * [1, side]
        turn = rng.uniform(-np.pi, np.pi)
        objects = {CUP.name: np.array([*place, turn])}
        for index, bead in enumerate(BEADS):
            angle = turn + 2 * np.pi * index / (len(BEADS) - 1)
            out = _RING_M if index else 0.0
            objects[bead.name] = np.array([*(place + out * np.array([np.cos(angle), np.sin(angle)])), 0.0])
        bowls = {
            kind.name: (np.array([0.38, y]) + rng.uniform([-0.02, -0.005], [0.02, 0.005])) * [1, -side]
            for kind, y in zip(self.bins, rng.permutation([-0.03, 0.13]), strict=True)
        }
        return objects, {**bowls, MAT.name: place}

    def _goal(self, wish: Wish, data: mujoco.MjData) -> Goal:
        return Goal(CUP.name, wish["bin"], side_of(object_position(data, CUP.name)))

    def goal_now(self, model: mujoco.MjModel, data: mujoco.MjData) -> Goal:
        """To the bowl while beads are to be poured, then to the mat."""
        target = self.goal.target if self.to_pour(model, data) else MAT.name
        return Goal(CUP.name, target, self.goal.side)

    def landed(self, model: mujoco.MjModel, data: mujoco.MjData, bowl: str) -> int:
        """How many beads lie in a bowl."""
        return sum(self.bin_of(model, data, bead.name) == bowl for bead in BEADS)

    def in_cup(self, data: mujoco.MjData) -> int:
        """How many beads are in the cup."""
        rotation, centre = data.body(CUP.name).xmat.reshape(3, 3), object_position(data, CUP.name)
        return sum(CUP.holds(rotation.T @ (object_position(data, bead.name) - centre)) for bead in BEADS)

    def to_pour(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Whether the cup still has beads that belong into the bowl; a cup tipped over is emptied altogether."""
        tipped = float(data.body(CUP.name).xmat[8]) < 0.0
        return self.in_cup(data) > 0 and (tipped or self.landed(model, data, self.goal.target) < ENOUGH)

    def put_back(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Whether the cup is upright on its mat, held or not."""
        offset = object_position(data, CUP.name) - model.body(MAT.name).pos
        standing = float(data.body(CUP.name).xmat[8]) > _STANDING_COS and abs(offset[2] - CUP.height_m) < _STANDING_M
        return standing and float(np.hypot(*offset[:2])) < MAT_M

    def judge(self, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[bool, float, str]:
        """(success, progress, detail): reaching to 0.3, lifted 0.4, beads landed 0.4 to 0.8, cup back 0.9, hand away 1."""
        landed = self.landed(model, data, self.goal.target)
        other = max(self.landed(model, data, kind.name) for kind in self.bins if kind.name != self.goal.target)
        if other > len(BEADS) - ENOUGH:
            return False, 0.0, f"{other} beads in the wrong bowl"
        said = f"{landed} of {len(BEADS)} beads in {self.goal.target}"
        if landed >= ENOUGH and self.put_back(model, data):
            left = left_alone(model, data, CUP.name)
            return left, 1.0 if left else 0.9, f"{said}, cup on its mat"
        if landed:
            return False, 0.4 + 0.4 * min(landed / ENOUGH, 1.0), said
        if is_lifted(self, data, CUP.name):
            return False, 0.4, f"{CUP.name} lifted"
        progress, detail = reaching(hand_distance(data, self.goal.side, CUP.name), CUP.name)
        return False, 0.75 * progress, detail
