# SPDX-License-Identifier: Apache-2.0
"""A bottle on one side of the table, two plates on the other: from hand to hand in the air, then onto the plate named."""

import mujoco
import numpy as np

from gr00t_sim.objects import COLOURS, bottle
from gr00t_sim.robot import SIDES
from gr00t_sim.scene import TABLE_TOP_M, PlateKind
from gr00t_sim.tasks.place_task import PlaceTask, hand_distance, left_alone, reaching
from gr00t_sim.tasks.sentences import Slots, Wish
from gr00t_sim.tasks.task import Goal, Vector, object_position, side_of, touches

BOTTLE = bottle("red bottle", "red")
_IN_AIR_M = 0.03  # lowest point above the table: higher than anything it could rest on
GIVEN, SHARED, RECEIVED = 1, 2, 3  # stages of one flight of the bottle


class Handover(PlaceTask):
    """Success: the bottle stands on the named plate, let go, and came there in one flight: in the air it was held by the
    giving hand, then by both, then by the receiving hand alone. Put down or dropped in between, it must be handed over anew.
    """

    name = "handover"
    preposition = "on"
    time_limit_s = 20.0
    objects = (BOTTLE,)
    bins: tuple[PlateKind, ...] = (PlateKind("white plate", COLOURS["white"]), PlateKind("blue plate", COLOURS["blue"]))
    essential = ("bottle", "other hand")
    templates = (
        "hand the red bottle over to your other hand and set it on the {bin}",
        "pass the red bottle to the other hand, then put it on the {bin}",
        "pick up the bottle, give it to your other hand and place it on the {bin}",
        "with one hand take the red bottle, with the other hand stand it on the {bin}",
        "the bottle goes from hand to hand: let the other hand set it down on the {bin}",
    )

    @property
    def slots(self) -> Slots:
        return {"bin": tuple(kind.name for kind in self.bins)}

    def _scene(self, rng: np.random.Generator) -> tuple[dict[str, Vector], dict[str, Vector]]:
        giving = rng.choice([1.0, -1.0])
        xy = rng.uniform([0.33, 0.11], [0.40, 0.26]) * [1, giving]
        near, far = (np.array([0.37, y]) + rng.uniform([-0.02, -0.005], [0.02, 0.005]) for y in (0.12, 0.295))
        plates = [near * [1, -giving], far * [1, -giving]]
        order = rng.permutation(2)
        return (
            {BOTTLE.name: np.array([*xy, rng.uniform(-np.pi, np.pi)])},
            {kind.name: plates[index] for kind, index in zip(self.bins, order, strict=True)},
        )

    def _goal(self, wish: Wish, data: mujoco.MjData) -> Goal:
        return Goal(BOTTLE.name, wish["bin"], side_of(object_position(data, BOTTLE.name)))

    def _want(self, wish: Wish, data: mujoco.MjData) -> None:
        super()._want(wish, data)
        self._stage = 0

    @property
    def receiving_side(self) -> str:
        """The hand that sets the bottle down."""
        return next(side for side in SIDES if side != self.goal.side)

    def goal_now(self, model: mujoco.MjModel, data: mujoco.MjData) -> Goal:
        """To the other hand while the giving hand is nearer to the bottle, then to the plate."""
        giving, receiving = (hand_distance(data, side, BOTTLE.name) for side in (self.goal.side, self.receiving_side))
        if giving < receiving and not self.delivered(model, data, self.goal):
            return Goal(BOTTLE.name, f"{self.receiving_side[0].upper()}_hand_base_link", self.goal.side)
        return Goal(BOTTLE.name, self.goal.target, self.receiving_side)

    def judge(self, model: mujoco.MjModel, data: mujoco.MjData) -> tuple[bool, float, str]:
        """(success, progress, detail): reaching to 0.3, given 0.4, in both hands 0.6, received 0.7, on the plate 0.9, done 1."""
        hands = {side for side in SIDES if touches(model, data, side, BOTTLE.name)}
        inside = self.bin_of(model, data, BOTTLE.name)
        self._stage = flight_stage(
            self._stage,
            giving=self.goal.side in hands,
            receiving=self.receiving_side in hands,
            in_air=bottle_clearance_m(data) > _IN_AIR_M,
            set_down=inside == self.goal.target or hands == {self.receiving_side},
        )
        if inside and inside != self.goal.target:
            return False, 0.0, f"{BOTTLE.name} on {inside} instead of {self.goal.target}"
        if inside and self._stage != RECEIVED:
            return False, 0.0, f"{BOTTLE.name} on {inside}, but not from hand to hand"
        if inside:
            done = left_alone(model, data, BOTTLE.name)
            return done, 1.0 if done else 0.9, f"{BOTTLE.name} on {inside}" + ("" if done else ", hand not yet away")
        if self._stage:
            told = {GIVEN: (0.4, "in the giving hand"), SHARED: (0.6, "in both hands"), RECEIVED: (0.7, "received")}
            progress, where = told[self._stage]
            return False, progress, f"{BOTTLE.name} {where}"
        progress, detail = reaching(hand_distance(data, self.goal.side, BOTTLE.name), BOTTLE.name)
        return False, 0.75 * progress, detail


def flight_stage(stage: int, *, giving: bool, receiving: bool, in_air: bool, set_down: bool) -> int:
    """The stage of the bottle's flight after this instant: 0 none, then GIVEN, SHARED, RECEIVED, in this order only.

    giving, receiving: whether that hand touches the bottle; in_air: it is well off the table; set_down: it is on its plate
    or, low over the table, still in the receiving hand alone. Untouched in the air or low elsewhere, the flight is over.
    """
    if not in_air:
        return RECEIVED if stage == RECEIVED and set_down else 0
    if giving and receiving:
        return SHARED if stage else 0
    if giving:
        return GIVEN
    if receiving:
        return RECEIVED if stage >= SHARED else 0
    return RECEIVED if stage == RECEIVED else 0  # let go a little above the plate


def bottle_clearance_m(data: mujoco.MjData) -> float:
    """From the table top to the lowest point of the bottle, upright or not [m]."""
    radius, half = BOTTLE.size[0], BOTTLE.size[1]
    upright = min(abs(float(data.body(BOTTLE.name).xmat[8])), 1.0)
    reach = half * upright + radius * float(np.sqrt(1 - upright**2))
    return float(object_position(data, BOTTLE.name)[2]) - TABLE_TOP_M - reach
