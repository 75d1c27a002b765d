# SPDX-License-Identifier: Apache-2.0
"""In physics, from one demonstration each: a bottle that goes from hand to hand, a cup that is emptied, a door that is shut."""

import dataclasses

import numpy as np
import pytest

from gr00t_sim.demonstration import Demonstrator, Variety
from gr00t_sim.furniture import DOOR_JOINT
from gr00t_sim.multiplication.multiplier import MotionSettings, Multiplier
from gr00t_sim.multiplication.segmentation import boundaries
from gr00t_sim.multiplication.selection import same_hands
from gr00t_sim.multiplication.source_data import RecordedEpisode
from gr00t_sim.multiplication.sources import prepare
from gr00t_sim.multiplication.trace import SegmentationError, replay
from gr00t_sim.robot import SIDES, finger_indices
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.handover import BOTTLE
from gr00t_sim.tasks.pour import CUP
from gr00t_sim.tasks.task import touches

SEED = 700000
STRAIGHT = Variety(random_start=0.0, pushed=0.0, ticks_per_picture=1000)
SETTINGS = MotionSettings(ticks_per_picture=1000)


class WatchedSim(TabletopSim):
    """Notes, period by period, which hands touch the bottle and what the fingers were told."""

    def __init__(self, task):
        self.touching, self.fingers = [], []
        super().__init__(task)

    def step_physics(self, steps):
        super().step_physics(steps)
        targets = self.joint_targets()
        self.fingers.append({side: targets[joints] for side, joints in finger_indices(self.embodiment).items()})
        if self.task.name == "handover":
            self.touching.append({side: touches(self.model, self.data, side, BOTTLE.name) for side in SIDES})


def shown_once(sim, seed):
    """(recording of one demonstration, its replay, the source cut from it)."""
    made = Demonstrator(sim, STRAIGHT).run(seed)
    rows = (np.array(made.states), np.array(made.actions), np.array(made.valid))
    episode = RecordedEpisode(0, seed, made.sentence, *rows)
    (source,), _ = prepare(sim, [episode])
    return replay(sim, episode), source


def scene_for(multiplier, source):
    return next(seed for seed in range(SEED, SEED + 20) if same_hands([source], multiplier.needs(seed)))


@pytest.fixture(scope="module")
def handover():
    """A simulator, the replay of a demonstration in it, and the source."""
    sim = WatchedSim("handover")
    yield sim, *shown_once(sim, 0)
    sim.close()


def test_a_handover_is_cut_where_the_bottle_is_presented_and_where_the_giver_begins_to_let_go(handover):
    _, trace, source = handover
    cuts = dict(zip((one.name for one in trace.plan), boundaries(trace), strict=True))
    giving, receiving = trace.plan[0].hands[0], next(one.hands[0] for one in trace.plan if one.name == "place")
    first, end = cuts["meet"]
    assert giving != receiving and cuts["offer"][1] == cuts["ready"][1] == first
    assert trace.touching[giving, BOTTLE.name][first:end].all()
    assert not trace.touching[receiving, BOTTLE.name][: first + 1].any()
    assert trace.touching[receiving, BOTTLE.name][end - 1]
    grip = trace.fingers[giving]
    np.testing.assert_allclose(grip[end - 1], grip[first])
    assert np.abs(grip[end + 1] - grip[first]).max() > 0.05, "here it opens"
    meeting = next(segment for segment in source.segments if segment.subtask.name == "meet")
    assert set(meeting.motions) == set(SIDES)


def test_a_bottle_that_was_never_in_both_hands_cannot_be_cut(handover):
    _, trace, _ = handover
    receiving = next(one.hands[0] for one in trace.plan if one.name == "place")
    alone = trace.touching | {(receiving, BOTTLE.name): np.zeros(len(trace), bool)}
    with pytest.raises(SegmentationError, match="red bottle was never in both hands"):
        boundaries(dataclasses.replace(trace, touching=alone))


def test_in_another_scene_the_giver_opens_only_once_the_receiver_holds_the_bottle(handover):
    sim, _, source = handover
    multiplier = Multiplier(sim, [source], SETTINGS)
    seed = scene_for(multiplier, source)
    sim.touching.clear()
    sim.fingers.clear()
    attempt = multiplier.run(seed)
    assert attempt.reason == "", attempt.detail
    giving, receiving = (source.plan[0].lead, next(side for side in SIDES if side != source.plan[0].lead))
    lifted_alone = next(tick for tick, seen in enumerate(sim.touching) if seen[giving])
    taken = next(tick for tick, seen in enumerate(sim.touching) if seen[receiving])
    fingers = {side: np.array([row[side] for row in sim.fingers]) for side in SIDES}
    opens = taken + int(np.argmax(np.abs(fingers[giving][taken:] - fingers[giving][taken]).max(axis=1) > 0.05))
    moves = np.abs(fingers[receiving] - fingers[receiving][0]).max(axis=1) > 0.2
    assert lifted_alone < int(np.argmax(moves)) < opens
    assert taken < opens and all(sim.touching[opens].values()), "both hold it as the giver begins to open"


def test_a_giver_whose_bottle_is_not_taken_does_not_let_go(handover):
    """The receiver's fingers stay open: the attempt ends with the bottle in the giving hand, and is not kept."""
    sim, _, source = handover
    giving = source.plan[0].lead
    receiving = next(side for side in SIDES if side != giving)

    def open_handed(segment):
        if segment.subtask.name != "meet":
            return segment
        motion = segment.motions[receiving]
        still = dataclasses.replace(motion, fingers=np.tile(motion.fingers[:1], (len(motion), 1)))
        return dataclasses.replace(segment, motions=segment.motions | {receiving: still})

    spoilt = dataclasses.replace(source, segments=tuple(map(open_handed, source.segments)))
    multiplier = Multiplier(sim, [spoilt], SETTINGS)
    seed = scene_for(multiplier, source)
    sim.fingers.clear()
    attempt = multiplier.run(seed)
    assert attempt.reason == "object not received" and not attempt.demonstration.success
    grip = np.array([row[giving] for row in sim.fingers])
    np.testing.assert_array_equal(grip[-20:], np.tile(grip[-1], (20, 1)))
    assert touches(sim.model, sim.data, giving, BOTTLE.name)


def test_a_cup_is_tipped_at_the_bowl_alone_and_what_was_shown_fills_another_bowl():
    sim = TabletopSim("pour")
    trace, source = shown_once(sim, 0)
    cuts = dict(zip((one.name for one in trace.plan), boundaries(trace), strict=True))
    first, end = cuts["pour"]
    upright = trace.upright[CUP.name]
    assert upright[first:end].min() < 0 and upright[end:].min() > 0.95
    heights = np.array([place.position[2] for place in trace.places[CUP.name]])
    assert heights[end] > heights[end:].max() - 0.011, "up again, or it would be dragged over the bowl's rim"
    with pytest.raises(SegmentationError, match="never tipped yellow cup"):
        boundaries(dataclasses.replace(trace, upright=trace.upright | {CUP.name: np.ones(len(trace))}))
    multiplier = Multiplier(sim, [source], SETTINGS)
    attempt = multiplier.run(scene_for(multiplier, source))
    assert attempt.reason == "", attempt.detail
    sim.close()


def test_a_door_is_shut_from_an_opening_that_was_not_shown():
    sim = TabletopSim("close_door")
    _, source = shown_once(sim, 1)
    opening = float(sim.data.joint(DOOR_JOINT).qpos[0])
    shown = abs(source.layout["door"].yaw_rad)
    assert opening < 0.05 < shown
    multiplier = Multiplier(sim, [source], SETTINGS)
    seed = next(seed for seed in range(SEED, SEED + 50) if _opening(multiplier, seed) > shown + 0.25)
    attempt = multiplier.run(seed)
    assert attempt.reason == "", attempt.detail
    sim.close()


def _opening(multiplier, seed):
    multiplier.needs(seed)
    return float(multiplier.sim.data.joint(DOOR_JOINT).qpos[0])
