# SPDX-License-Identifier: Apache-2.0
"""Laws of the planner: only fresh and new pictures are encoded, sentences act at the next tick, the rest is refused and told."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_checkpoint import save_small_checkpoint

from gr00t_planner.config import PlannerConfig
from gr00t_planner.planner import Planner, State, Verdict
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.core.types import ConditioningTokens
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.runtime.graph_backend import GraphBackend
from gr00t_policy.runtime.policy import Gr00tPolicy, HoldPolicy
from gr00t_policy.runtime.torch_backend import TorchBackend

GR1 = load_embodiment("gr1")
CAMERA = GR1.cameras[0]
NS = 1_000_000_000
TICK_NS = NS // 10
ROS_NS = 1_700_000_000 * NS


@dataclass
class World:
    """A planner with a camera at its own rate, whose pictures are new each time unless it is frozen."""

    planner: Planner
    steady_ns: int = NS
    set_by_ns: int = 0  # the system clock
    camera_on: bool = True
    frozen: bool = False
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    picture: np.ndarray = field(default_factory=lambda: np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8))

    @property
    def ros_ns(self) -> int:
        return ROS_NS + self.steady_ns + self.set_by_ns

    def show(self, delay_s: float = 0.01) -> str | None:
        if not self.frozen:
            self.picture = self.rng.integers(0, 256, self.picture.shape, np.uint8)
        return self.planner.image(CAMERA.name, self.picture, self.ros_ns - round(delay_s * NS), self.ros_ns)

    def tick(self) -> ConditioningTokens | None:
        self.steady_ns += TICK_NS
        if self.camera_on:
            self.show()
        return self.planner.tick(self.steady_ns, self.ros_ns)

    def run(self, ticks: int) -> list[ConditioningTokens | None]:
        return [self.tick() for _ in range(ticks)]

    @property
    def refused(self) -> dict[str, int]:
        return self.planner.report(self.steady_ns, self.ros_ns).refused


def world(policy=None, **settings) -> World:
    built: World
    planner = Planner(policy or HoldPolicy(GR1), PlannerConfig(**settings), lambda: built.steady_ns)
    built = World(planner)
    planner.warm_up()
    planner.activate()
    return built


def told(sentence: str = "take the can", **settings) -> World:
    built = world(**settings)
    assert built.planner.instruction(sentence) is None
    return built


def test_without_a_sentence_or_an_image_there_are_no_tokens():
    silent = world()
    assert silent.run(3) == [None] * 3 and silent.planner.verdict.state is State.WAITING_FOR_INSTRUCTION
    blind = told()
    blind.camera_on = False
    assert blind.run(3) == [None] * 3 and blind.planner.verdict.state is State.WAITING_FOR_IMAGE


def test_each_new_image_gives_one_set_of_tokens_with_its_stamp_and_ascending_sequence():
    there = told()
    tokens = there.run(5)
    assert [item.sequence for item in tokens] == [1, 2, 3, 4, 5]
    assert np.diff([item.stamp_ns for item in tokens]).tolist() == [TICK_NS] * 4
    assert tokens[-1].stamp_ns == there.ros_ns - NS // 100 and tokens[-1].instruction == "take the can"
    assert tokens[-1].stage_s["wait"] == pytest.approx(0.01)
    report = there.planner.report(there.steady_ns, there.ros_ns)
    assert (report.encoded, report.skipped, report.rate_hz) == (5, 0, pytest.approx(10.0))


def test_an_image_is_encoded_once_and_is_stale_after_the_limit():
    there = told()
    there.tick()
    there.camera_on = False
    assert there.tick() is None and there.planner.verdict.state is State.ENCODING
    there.run(3)
    assert there.planner.verdict.state is State.STALE_IMAGE and "0.3 s" in there.planner.verdict.detail
    there.camera_on = True
    assert there.tick() is not None and there.planner.verdict.state is State.ENCODING


def test_a_new_sentence_is_encoded_at_the_next_tick_even_with_the_same_image():
    there = told("take the can")
    first = there.tick()
    there.camera_on = False
    there.planner.instruction("take the ball")
    second = there.tick()
    assert (second.instruction, second.stamp_ns) == ("take the ball", first.stamp_ns)
    assert second.instruction_id == first.instruction_id + 1


@pytest.mark.parametrize("sentence", ["", "  \t\n"])
def test_an_empty_sentence_stops_the_tokens(sentence):
    there = told()
    there.run(2)
    assert there.planner.instruction(sentence) is None
    assert there.run(2) == [None, None]
    assert there.planner.verdict.state is State.WAITING_FOR_INSTRUCTION
    assert there.planner.verdict.detail == "the sentence was taken back"


@pytest.mark.parametrize(
    "sentence", ["x" * 10_000, "ä" * 257, "take\x00it", "take\x1b[2Jit", "two\nlines", "\ufffd\ufffd it"]
)
def test_a_sentence_that_is_too_long_or_not_printable_is_refused_and_the_one_before_stays(sentence):
    there = told()
    assert "refused" in there.planner.instruction(sentence)
    tokens = there.tick()
    assert (tokens.instruction, tokens.instruction_id) == ("take the can", 1)
    assert there.refused == {"sentence": 1} and "refused" in there.planner.verdict.detail
    there.planner.instruction("take the ball")
    there.tick()
    assert there.planner.verdict.detail == ""


@given(st.text(max_size=600))
def test_every_text_is_taken_stops_tokens_or_is_refused_with_a_reason(sentence):
    there = told("before")
    refusal = there.planner.instruction(sentence)
    tokens = there.tick()
    stripped = sentence.strip()
    if refusal is not None:
        assert tokens.instruction == "before"
    elif stripped:
        assert tokens.instruction == stripped
    else:
        assert tokens is None


def test_images_of_another_size_are_refused_and_told():
    there = told()
    there.camera_on = False
    small = np.zeros((8, 8, 3), np.uint8)
    assert "expected" in there.planner.image(CAMERA.name, small, there.ros_ns, there.ros_ns)
    assert there.tick() is None and "expected" in there.planner.verdict.detail
    assert there.refused == {"image: wrong image": 1}


def test_an_image_that_is_late_is_told_before_it_is_too_old():
    there = told(image_warn_s=0.15)
    there.tick()
    there.camera_on = False
    for late, stale in ((False, False), (True, False), (True, True)):
        there.tick()
        report = there.planner.report(there.steady_ns, there.ros_ns)
        assert (report.image_is_late, report.verdict.state is State.STALE_IMAGE) == (late, stale), report.image_age_s


def test_images_with_old_stamps_or_from_the_future_never_become_tokens():
    there = told()
    there.camera_on = False
    there.show(delay_s=0.4)
    assert there.tick() is None and there.planner.verdict.state is State.STALE_IMAGE
    assert "ahead of the clock" in there.show(delay_s=-1.0)
    there.show(delay_s=0.0)
    assert "behind one already seen" in there.show(delay_s=0.1)


@pytest.mark.parametrize("step_s", [-3600, -5, -0.5, 0.5, 5, 3600])
def test_after_the_clock_was_set_no_picture_of_the_old_time_is_encoded_and_the_first_of_the_new_is(step_s):
    there = told()
    before = there.run(5)
    there.camera_on = False
    on_its_way_ns = there.ros_ns
    there.set_by_ns = round(step_s * NS)
    refusal = there.planner.image(CAMERA.name, there.picture, on_its_way_ns, there.ros_ns)
    assert (refusal is not None and "ahead of the clock" in refusal) == (step_s < 0)
    assert there.run(2) == [None, None]
    assert there.planner.verdict.state is (State.WAITING_FOR_IMAGE if step_s < 0 else State.STALE_IMAGE)
    there.camera_on = True
    after = there.run(5)
    assert [item.sequence for item in after] == [before[-1].sequence + k for k in range(1, 6)]
    assert [there.ros_ns - item.stamp_ns for item in after] == [NS // 100 + k * TICK_NS for k in (4, 3, 2, 1, 0)]


def test_a_camera_that_repeats_one_picture_with_fresh_stamps_is_frozen():
    there = told(frozen_images=10)
    there.frozen = True
    tokens = there.run(12)
    assert all(item is not None for item in tokens[:9]) and tokens[9:] == [None] * 3
    assert there.planner.verdict.state is State.STALE_IMAGE and "frozen" in there.planner.verdict.detail
    there.frozen = False
    assert there.tick() is not None


def test_a_still_scene_is_fine_where_the_check_is_switched_off():
    there = told(frozen_images=0)
    there.frozen = True
    assert all(item is not None for item in there.run(30))


def test_a_fault_of_the_encoder_is_told_and_counted():
    class Breaks(HoldPolicy):
        broken = False

        def encode(self, observation, sequence=0, instruction_id=0):
            if self.broken:
                raise MessageError("no picture of ego_view")
            return super().encode(observation, sequence, instruction_id)

    policy = Breaks(GR1)
    there = world(policy)
    there.planner.instruction("take the can")
    policy.broken = True
    assert there.tick() is None and there.planner.verdict.detail == "no picture of ego_view"
    assert there.refused == {"tokens": 1}


def test_a_sentence_said_before_activation_is_in_force_after_it():
    there = world()
    there.planner.deactivate()
    there.planner.instruction("take the can")
    assert there.tick() is None and there.planner.verdict.state is State.INACTIVE
    there.planner.activate()
    assert there.tick().instruction == "take the can"


class Interrupted(HoldPolicy):
    """Something happens while it encodes, once."""

    happens = None

    def encode(self, observation, sequence=0, instruction_id=0):
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()
        return super().encode(observation, sequence, instruction_id)


def interrupted() -> tuple[World, Interrupted]:
    policy = Interrupted(GR1)
    built = world(policy)
    built.planner.instruction("take the can")
    assert built.tick().sequence == 1
    return built, policy


def test_a_sentence_that_is_taken_back_while_it_is_encoded_gives_no_tokens():
    there, policy = interrupted()
    policy.happens = lambda: there.planner.instruction("")
    assert there.tick() is None
    assert there.planner.verdict == Verdict(State.WAITING_FOR_INSTRUCTION, "the sentence was taken back")
    there.planner.instruction("take the ball")
    tokens = there.tick()
    assert (tokens.instruction, tokens.sequence) == ("take the ball", 2)


def test_a_planner_that_is_deactivated_while_it_encodes_gives_no_tokens():
    there, policy = interrupted()
    policy.happens = there.planner.deactivate
    assert there.tick() is None and there.planner.verdict.state is State.INACTIVE


def test_a_planner_that_is_activated_again_while_it_still_encodes_gives_no_tokens_of_the_picture_before():
    there, policy = interrupted()
    policy.happens = lambda: (there.planner.deactivate(), there.planner.activate())
    assert there.tick() is None and there.planner.verdict.state is State.WAITING_FOR_IMAGE
    assert there.tick().sequence == 1


def test_tokens_that_were_being_encoded_when_another_sentence_came_say_which_they_are_of():
    there, policy = interrupted()
    policy.happens = lambda: there.planner.instruction("take the ball")
    former, new = there.run(2)
    assert (former.instruction, former.instruction_id) == ("take the can", 1)
    assert (new.instruction, new.instruction_id) == ("take the ball", 2)


def test_settings_that_make_no_sense_are_refused_with_the_choices():
    with pytest.raises(ConfigError, match="choose one of: float32, bfloat16, float16"):
        PlannerConfig(token_dtype="int8")
    with pytest.raises(ConfigError, match="openvino, onnx, torch"):
        PlannerConfig(engine="tensorrt")


@pytest.mark.parametrize("engine", ["torch", "cuda_graph"])
def test_a_full_memory_refuses_the_start_and_at_work_only_the_picture(tmp_path, engine):
    """The layer raises what torch raises on a GPU; the graph back end is whole but for the capture, which needs one."""
    checkpoint = load_checkpoint(save_small_checkpoint(tmp_path / "small"))
    graph = {"capture": False} if engine == "cuda_graph" else {}
    backend = (GraphBackend if graph else TorchBackend)(checkpoint, "encoder", "float32", "cpu", **graph)
    full = [False]

    def layer(*given):
        if full[0]:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    backend._backbone.linear.register_forward_pre_hook(layer)
    full[0] = True
    with pytest.raises(MessageError, match="memory of device 'cpu' is full"):
        world(Gr00tPolicy(checkpoint, backend))
    full[0] = False
    built = world(Gr00tPolicy(checkpoint, backend))
    built.planner.instruction("take the can")
    assert built.tick() is not None
    full[0] = True
    assert built.run(3) == [None] * 3
    assert "memory of device 'cpu' is full" in built.planner.verdict.detail and built.refused["tokens"] == 3
    full[0] = False
    assert built.tick() is not None and not built.planner.verdict.detail
