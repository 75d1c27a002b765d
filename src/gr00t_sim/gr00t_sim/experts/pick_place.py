# SPDX-License-Identifier: Apache-2.0
"""A scripted expert that picks the goal's object from above and lets it go where the task says."""

import numpy as np

from gr00t_sim.experts.grasp import PICK_YAW_RAD, PLACE_YAW_RAD, top_grasp_position, top_grasp_rotation
from gr00t_sim.experts.hand_expert import HandExpert, Step, Vector, blend
from gr00t_sim.scene import TABLE_TOP_M
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.place_task import Destination, PlaceTask
from gr00t_sim.tasks.task import Goal, TaskError, object_position

_CARRY_HEIGHT_M = 0.20  # grasp site above the object's resting grasp height while carrying
_APPROACH_HEIGHT_M = 0.13
_GRASP_TOLERANCE_M = 0.012
_HELD_WITHIN_M = 0.045
_DEEPEST_M = 0.045  # below the top of an object: deeper, the palm would meet its top before the fingers reach around
_OVER_M, _THERE_M = 0.04, 0.03  # from here the hand goes down; from here it lets go
_EXACT_OVER_M, _EXACT_THERE_M = 0.03, 0.012


class PickPlaceExpert(HandExpert):
    """For any ``PlaceTask``; works at the task's present goal with the goal's hand. Raises TaskError for other tasks."""

    def __init__(self, sim: TabletopSim, period_s: float = 0.05) -> None:
        if not isinstance(sim.task, PlaceTask):
            raise TaskError(f"task '{sim.task.name}' does not place an object; it has an expert of its own")
        super().__init__(sim, period_s)
        self.task = sim.task

    def decide(self) -> dict[str, Step]:
        goal = self.task.goal_now(self._sim.model, self._sim.data)
        return {goal.side: self._decide(goal)}

    def _decide(self, goal: Goal) -> Step:
        sim, side = self._sim, goal.side
        centre = object_position(sim.data, goal.object)
        closure, commanded = self.closure(side), self.commanded(side)
        place = self.task.destination(sim.model, sim.data, goal)
        place_rotation = top_grasp_rotation(side, PLACE_YAW_RAD)
        kind = self.task.kind(goal.object)
        lift = np.array([0.0, 0.0, max(0.0, kind.height_m - _DEEPEST_M)])
        in_hand = top_grasp_position(side, centre + lift)
        held = float(np.linalg.norm(self.site(side) - in_hand)) < _HELD_WITHIN_M and closure > 0.75
        over = top_grasp_position(side, np.array([*place.xy, kind.height_m + TABLE_TOP_M]) + lift)
        if place.exact and held:
            over[:2] = commanded[:2] + place.xy - centre[:2]
        if self.task.delivered(sim.model, sim.data, goal) and not held:
            if closure > 0.35:
                return Step(commanded, place_rotation, 0.0, "open")
            return self._leave(side, commanded, over, place_rotation)
        to_place = float(np.linalg.norm(commanded[:2] - over[:2]))
        there_m = _EXACT_THERE_M if place.exact else _THERE_M
        if to_place < there_m + 0.02 and closure > 0.05 and commanded[2] < over[2] + place.release_m + 0.03:
            ready = commanded[2] < over[2] + place.release_m + 0.015 and to_place < there_m
            if closure < 0.75 or ready:  # letting go: hold still until the fingers are open
                return Step(np.array([*over[:2], commanded[2]]), place_rotation, 0.0, "open")
        if held and closure > 0.93:
            return self._carry(side, commanded, over, place)
        return self._approach(side, commanded, in_hand, closure)

    def _carry(self, side: str, commanded: Vector, over: Vector, place: Destination) -> Step:
        place_rotation = top_grasp_rotation(side, PLACE_YAW_RAD)
        height = commanded[2] - over[2]
        aside = float(np.linalg.norm(commanded[:2] - over[:2]))
        if aside > (_EXACT_OVER_M if place.exact else _OVER_M):
            free = float(np.clip((height - 0.06) / 0.08, 0.0, 1.0))  # travel only as far as the lift allows
            xy = commanded[:2] + free * (over[:2] - commanded[:2])
            rotation = blend(top_grasp_rotation(side, PICK_YAW_RAD), place_rotation, free)
            return Step(np.array([*xy, over[2] + _CARRY_HEIGHT_M]), rotation, 1.0, "carry")
        return Step(np.array([*over[:2], over[2] + place.release_m]), place_rotation, 1.0, "lower")

    def _approach(self, side: str, commanded: Vector, in_hand: Vector, closure: float) -> Step:
        rotation = top_grasp_rotation(side, PICK_YAW_RAD)
        error = commanded - in_hand
        near = float(np.linalg.norm(error[:2])) < 0.03 and abs(error[2]) < 0.03
        arrived = float(np.linalg.norm(error)) < _GRASP_TOLERANCE_M
        blocked = self.stands(side)  # the object is in the way of the palm: take it as it is
        arrived = arrived and (float(np.linalg.norm(self.site(side) - in_hand)) < 0.02 or blocked)
        if near and (arrived or closure > 0.05):
            return Step(in_hand, rotation, 1.0, "close")
        if closure > 0.05 and not near:  # missed or lost: open before coming back
            up = max(commanded[2], in_hand[2] + _APPROACH_HEIGHT_M)
            return Step(np.array([*commanded[:2], up]), rotation, 0.0, "reopen")
        aside = float(np.linalg.norm(error[:2]))
        funnel = _APPROACH_HEIGHT_M * float(np.clip((aside - 0.012) / 0.05, 0.0, 1.0))
        clear = in_hand[2] + _APPROACH_HEIGHT_M - 0.05
        free = 1.0 if aside < 0.06 else float(np.clip((commanded[2] - clear) / 0.04, 0.1, 1.0))
        xy = commanded[:2] + free * (in_hand[:2] - commanded[:2])
        return Step(np.array([*xy, in_hand[2] + funnel]), rotation, 0.0, "approach")

    def _leave(self, side: str, commanded: Vector, over: Vector, rotation: Vector) -> Step:
        home_position, home_rotation = self._home_pose[side]
        risen = float(np.clip((commanded[2] - over[2] - 0.08) / 0.08, 0.0, 1.0))
        if float(np.linalg.norm(commanded[:2] - over[:2])) > 0.16:
            risen = 1.0
        target = commanded + risen * (home_position - commanded)
        target[2] = home_position[2] if risen == 1.0 else max(target[2], over[2] + 0.20)
        return Step(target, blend(rotation, home_rotation, risen), 0.0, "leave")
