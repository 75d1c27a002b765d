# SPDX-License-Identifier: Apache-2.0
"""Camera, planner, controller and gate on made clocks that are set: how long is held, and tokens keep their pictures' stamps."""

from dataclasses import dataclass

import numpy as np
import pytest
from test_time_faults import GR1, Chain, Swings

from gr00t_planner.config import PlannerConfig
from gr00t_planner.planner import Planner
from gr00t_planner.planner import State as PlannerState
from gr00t_policy.core.types import ConditioningTokens, Observation
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.inputs import Cause
from gr00t_safety.ladder import State

CAMERA = GR1.cameras[0]
PICTURE_TICKS, PLANNER_TICKS, ENCODING_TICKS = 6, 12, 6  # 20 Hz, 10 Hz, 50 ms
# A picture comes a tick after it was taken, waits for the planner's next tick, and is encoded.
FRESH_S = (PICTURE_TICKS + 1 + PLANNER_TICKS + ENCODING_TICKS + 1) / 120
# Step of the clock -> the longest hold [s]: none, until the old time has passed again, or until a picture of the new time is used
HELD_S = {-3600.0: 0.0, -5.0: 0.0, -0.5: 0.87, -0.05: 0.0, 0.05: 0.0, 0.5: 0.46, 5.0: 0.46, 3600.0: 0.46}


class Sees(Swings):
    """Its tokens say the number of the picture that they are of."""

    def encode(self, observation: Observation, sequence: int = 0, instruction_id: int = 0) -> ConditioningTokens:
        number = int(observation.images[CAMERA.name][0, 0, 0]) + 256 * int(observation.images[CAMERA.name][0, 0, 1])
        features = np.full((2, self.checkpoint.config.head.cross_dim), number, np.float32)
        return ConditioningTokens(
            features, np.ones(2, np.bool_), observation.image_stamp_ns, sequence, observation.instruction, instruction_id,
            self.checkpoint.hash, "gr1",
        )  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """Tokens, and when they came to the controller (steady time)."""

    tokens: ConditioningTokens
    at_ns: int


class SeeingChain(Chain):
    """With the real planner and a camera. ros_offset_ns sets every clock, ``planner_offset_ns`` that of the planner's machine
    alone, ``camera_offset_ns`` that of the camera's."""

    def __init__(self) -> None:
        super().__init__()
        self.planner_offset_ns = self.camera_offset_ns = 0
        self.planner = Planner(Sees(), PlannerConfig(), lambda: self.now_ns)
        self.planner.instruction("swing")
        self.planner.activate()
        self.taken: list[int] = []  # stamps of the pictures, by number
        self.sent: list[Sent] = []
        self.numbers_in_use: list[int] = []  # of the picture behind the controller's tokens, per tick
        self._ticks = 0
        self._encoding: tuple[int, ConditioningTokens] | None = None

    def _plan(self) -> None:
        self._ticks += 1
        planner_ros_ns = self.ros_ns + self.planner_offset_ns
        if self._ticks % PICTURE_TICKS == 1 and self.taken:
            picture = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
            picture[0, 0, :2] = divmod(len(self.taken) - 1, 256)[::-1]
            self.planner.image(CAMERA.name, picture, self.taken[-1], planner_ros_ns)
        if self._ticks % PICTURE_TICKS == 0:
            self.taken.append(self.ros_ns + self.camera_offset_ns)
        if self._encoding is not None and self._ticks >= self._encoding[0]:
            self.controller.inputs.offer_tokens(self._encoding[1], self.now_ns)
            self.sent.append(Sent(self._encoding[1], self.now_ns))
            self._encoding = None
        if self._ticks % PLANNER_TICKS == 5:
            tokens = self.planner.tick(self.now_ns, planner_ros_ns)
            self._encoding = None if tokens is None else (self._ticks + ENCODING_TICKS, tokens)

    def tick(self) -> None:
        super().tick()
        if self.controller.inputs.in_use is not None:
            self.numbers_in_use.append(int(self.controller.inputs.in_use.tokens.features[0, 0]))

    def first_of_the_new_time_s(self, set_ns: int, pictures: int) -> float:
        """From ``set_ns`` to the first tokens whose picture is none of the ``pictures`` that had been taken."""
        return next((one.at_ns - set_ns) / 1e9 for one in self.sent if one.tokens.features[0, 0] >= pictures)

    def assert_pictures_keep_their_stamps_and_order(self) -> None:
        assert self.sent and all(one.tokens.stamp_ns == self.taken[int(one.tokens.features[0, 0])] for one in self.sent)
        assert np.all(np.diff(self.numbers_in_use) >= 0), "an older picture was used after a newer one"


def seeing(phase: int) -> SeeingChain:
    """At work, so many ticks into the planner's period."""
    chain = SeeingChain()
    chain.run(2.0 + phase / 120)
    assert chain.gate.state is State.ACTIVE, chain.gate.reason
    return chain


def held_s(states: list[State]) -> float:
    return sum(state is not State.ACTIVE for state in states) / 120


@pytest.mark.parametrize("phase", [0, 3, 6, 9])
@pytest.mark.parametrize("step_s", HELD_S)
def test_all_clocks_set_the_first_picture_of_the_new_time_is_encoded_at_once_and_ends_the_hold(step_s, phase):
    chain = seeing(phase)
    set_ns, pictures = chain.now_ns, len(chain.taken)
    chain.ros_offset_ns += round(step_s * 1e9)
    states = chain.run(3.0)
    # A clock set back by less than the planner's max_future_s leaves stamps that are out of order until it has passed.
    late_s = PLANNER_TICKS / 120 if step_s == -0.05 else 0.0
    assert chain.first_of_the_new_time_s(set_ns, pictures) <= FRESH_S + late_s
    assert State.DAMPED not in states and State.STOPPED not in states
    assert held_s(states) <= HELD_S[step_s]
    assert states[-60:] == [State.ACTIVE] * 60, chain.gate.reason
    assert chain.numbers_in_use[-1] >= pictures
    chain.assert_pictures_keep_their_stamps_and_order()
    chain.assert_no_jump()


@pytest.mark.parametrize("phase", [0, 3, 6, 9])
@pytest.mark.parametrize(
    ("clocks", "step_s", "cause", "why"),
    [
        ("planner", -5.0, Cause.TOKENS_SILENT, ""),
        ("planner", 5.0, Cause.TOKENS_SILENT, ""),
        ("camera", -5.0, Cause.TOKENS_SILENT, ""),
        ("camera", 5.0, Cause.TOKENS_SILENT, ""),
        ("planner and camera", -5.0, Cause.IMAGE_OLD, "image behind the tokens is older than 0.5 s"),
        ("planner and camera", 5.0, Cause.TOKENS_SILENT, "ahead of the clock; are the clocks the same?"),
    ],
)
def test_a_machine_whose_clock_alone_is_set_is_held_for_in_time_until_it_is_right_again(
    clocks, step_s, cause, why, phase
):
    chain = seeing(phase)
    set_by_ns = round(step_s * 1e9)
    chain.planner_offset_ns, chain.camera_offset_ns = (set_by_ns * (name in clocks) for name in ("planner", "camera"))
    accepted_before = chain.numbers_in_use[-1]
    states = chain.run(1.5)
    # 0.3 s since the last good tokens, whose picture may just be taken when the clock is set; the gate's own 0.05 s; a tick.
    longest_s = 0.3 + 0.05 + FRESH_S + 1 / 120
    assert states.index(State.HOLD) / 120 <= longest_s
    assert states[-1] is State.HOLD and chain.controller.verdict.cause is cause, chain.controller.verdict
    assert why in chain.controller.verdict.detail
    if clocks != "planner and camera":
        assert chain.numbers_in_use[-1] <= accepted_before + 4, "no picture that came after the clock was set"
        assert chain.planner.verdict.state in (PlannerState.WAITING_FOR_IMAGE, PlannerState.STALE_IMAGE)
    back_ns, pictures = chain.now_ns, len(chain.taken)
    chain.planner_offset_ns = chain.camera_offset_ns = 0
    chain.run(FRESH_S + ControllerConfig().healthy_s + 2 / 120)
    assert chain.controller.verdict.cause is Cause.NONE, chain.controller.verdict
    assert chain.first_of_the_new_time_s(back_ns, pictures) <= FRESH_S
    # The gate waits too, here also until the swing, which went on meanwhile, is near the held pose.
    assert chain.run(2.5)[-60:] == [State.ACTIVE] * 60, chain.gate.reason
    chain.assert_pictures_keep_their_stamps_and_order()
    chain.assert_no_jump()
