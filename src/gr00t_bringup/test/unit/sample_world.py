# SPDX-License-Identifier: Apache-2.0
"""A robot whose picture shows a clock, bags of it at work, and a policy that reads it: as good as can be, or with a defect."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sample_bags import STORE, S, header, made, picture, string, to_ros
from sample_data import HEIGHT, WIDTH, small_robot

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.types import ActionChunk, ConditioningTokens, Observation
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter
from gr00t_policy.runtime.chunk_plan import Guide
from gr00t_policy.runtime.policy import PreparedTokens

START = 1_700_000_000 * S
ROBOT = small_robot({"left_arm": 2, "right_arm": 3, "right_hand": 2})
SENTENCE, OTHER = "pick up the red can", "pick up the green cube"
LAG_S, REACH_S, HORIZON, STEP_S = 0.1, 0.012, 16, 0.05
CLOSES_S, OPENS_S = 1.6, 3.4


def plan(time_s: float | NDArray[np.float64], sentence: str = SENTENCE) -> NDArray[np.float64]:
    """Where the joints (..., 7) of ROBOT are to be [rad]: the left arm stays, the right one goes where the sentence says."""
    at = np.asarray(time_s, np.float64)
    side = 1.0 if "red" in sentence else -1.0
    arm = [0.6 * np.sin(1.9 * at), 0.4 * np.sin(2.6 * at + 1), 0.5 - 0.5 * np.cos(1.4 * at)]
    closed = np.interp(at, [CLOSES_S - 0.15, CLOSES_S + 0.15, OPENS_S - 0.15, OPENS_S + 0.15], [0, 1, 1, 0])
    still = np.ones_like(at)
    return np.stack([0.2 * still, -0.1 * still, *(side * part for part in arm), 1.2 * closed, 0.9 * closed], axis=-1)


def clock_picture(time_s: float, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A picture that shows a time, exactly."""
    frame = np.full((height, width, 3), 60, np.uint8)
    frame[0, 0] = np.frombuffer((round(time_s * 1e3) + 1).to_bytes(3, "big"), np.uint8)
    return frame


def read_clock(frame: NDArray[np.uint8]) -> float:
    return (int.from_bytes(frame[0, 0].tobytes(), "big") - 1) / 1e3


@dataclass(frozen=True)
class Work:
    """What is recorded. later: what else happens from ``later_s`` on. Another robot than ROBOT moves a little about home."""

    seconds: float = 5.0
    sentence: str = SENTENCE
    commands: bool = True
    camera: bool = True
    shown: str = "clock"  # or "black", or "still"
    codec: str = ""
    states: bool = True
    state_scale: float = 1.0
    later_s: float = 1e9
    later: Callable[[NDArray[np.float64]], NDArray[np.float64]] = field(default=lambda positions: positions)
    robot: Embodiment = ROBOT


def write_work(folder: Path, work: Work | None = None) -> Path:
    """The bag: joints at 100 Hz that lag their commands, pictures at 20 Hz."""
    work = work or Work()
    topics, messages = {}, []

    def add(name: str, type_name: str, rate_hz: float, delay_s: float, make: Callable[[float], object]) -> None:
        topics[f"/{name}"] = BagTopic(f"/{name}", type_name, STORE.generate_msgdef(type_name, ros_version=2)[0])
        count = round(work.seconds * rate_hz) if rate_hz else 1
        for number in range(count):
            time_s = number / rate_hz if rate_hz else 0.0
            sent = START + round((time_s + delay_s) * S)
            cdr = bytes(STORE.serialize_cdr(make(time_s), type_name))
            messages.append(BagMessage(f"/{name}", cdr, sent + 100_000, sent, number + 1))

    if work.states:
        add("joint_states", "sensor_msgs/msg/JointState", 100, 0.001, lambda at: _joint_state(work, at))
    if work.commands:
        add("joint_trajectory", "trajectory_msgs/msg/JointTrajectory", 100, 0.002, lambda at: _trajectory(work, at))
    if work.camera:
        suffix, kind = ("/compressed", "CompressedImage") if work.codec else ("", "Image")
        camera = work.robot.cameras[0].name
        add(f"camera/{camera}/image_raw{suffix}", f"sensor_msgs/msg/{kind}", 20, 0.01,
            lambda at: picture(_frame(work, at), at, work.codec))  # fmt: skip
    if work.sentence:
        add("language_command", "std_msgs/msg/String", 0, 0.0, lambda _: string(work.sentence))
    with BagWriter(folder) as bag:
        for topic in topics.values():
            bag.add_topic(topic)
        for message in sorted(messages, key=lambda message: message.log_ns):
            bag.write(message)
    return folder


@dataclass
class ClockPolicy:
    """Reads the clock in the picture and does what the plan says; returns half-way from where it is to where it should be.

    Each field but the first is a defect. blind: a clock of its own instead of the picture; deaf: one sentence for all;
    numb: never looks at the joints.
    """

    embodiment: Embodiment = ROBOT
    late_s: float = 0.0
    hand_early_s: float = 0.0
    scale: float = 1.0
    order: tuple[int, ...] = ()
    signs: tuple[float, ...] = ()
    jump_rad: float = 0.0
    stray_rad: float = 0.0
    noise_rad: float = 0.0
    blind: bool = False
    deaf: bool = False
    numb: bool = False
    holds: bool = False

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._tokens: ConditioningTokens | None = None

    def start_episode(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def encode(self, observation: Observation, sequence: int = 0, instruction_id: int = 0) -> ConditioningTokens:
        shown_s = read_clock(next(iter(observation.images.values())))
        red = 1.0 if self.deaf or "red" in observation.instruction else 0.0
        features = np.array([[0.0 if self.blind else shown_s, red, sequence % 2]], np.float32)
        return ConditioningTokens(features, np.ones(1, np.bool_), observation.image_stamp_ns, sequence)

    def prepare(self, tokens: ConditioningTokens) -> PreparedTokens:
        return PreparedTokens(tokens)

    def use(self, prepared: PreparedTokens) -> None:
        self._tokens = prepared.tokens

    def accept(self, tokens: ConditioningTokens) -> None:
        self.use(self.prepare(tokens))

    def act(self, state: NDArray[np.floating], state_stamp_ns: int, guide: Guide | None = None) -> ActionChunk:
        assert self._tokens is not None
        shown_s, red, odd = self._tokens.features[0].tolist()
        since_s = (state_stamp_ns - (START if self.blind else self._tokens.stamp_ns)) / S
        now_s, sentence = shown_s + since_s, SENTENCE if red else OTHER
        steps = np.arange(1, HORIZON + 1)
        wanted = self._wanted(now_s + steps * STEP_S, sentence)
        if not self.numb:
            away = state - plan(max(now_s - LAG_S, 0.0), sentence)
            wanted = wanted + 0.5 * np.exp(-steps / 4)[:, None] * away
        if self.holds:
            wanted = np.repeat(np.asarray(state, np.float64)[None], HORIZON, axis=0)
        wanted = wanted + (self.jump_rad if odd else -self.jump_rad) * np.array([0, 0, 1, 1, 1, 0, 0])
        wanted = wanted + self.noise_rad * self._rng.normal(size=wanted.shape)
        wanted = self.scale * wanted * (np.array(self.signs) if self.signs else 1.0)
        wanted = wanted[:, list(self.order)] if self.order else wanted
        return ActionChunk(
            stamp_ns=state_stamp_ns + round(STEP_S * S),
            step_dt_s=STEP_S,
            joint_names=self.embodiment.policy_joint_names,
            positions=wanted,
            tokens_stamp_ns=self._tokens.stamp_ns,
            state_stamp_ns=state_stamp_ns,
        )

    def _wanted(self, times_s: NDArray[np.float64], sentence: str) -> NDArray[np.float64]:
        wanted = plan(times_s - self.late_s, sentence)
        wanted[:, 5:] = plan(times_s - self.late_s + self.hand_early_s, sentence)[:, 5:]
        wanted[:, 0] += self.stray_rad
        return wanted


def _told(work: Work, time_s: float) -> NDArray[np.float64]:
    """Where the joints of the work's robot are to be (J,) [rad]."""
    positions = plan(time_s, work.sentence or SENTENCE)
    if work.robot is ROBOT:
        return positions
    home = np.array([work.robot.home.get(name, 0.0) for name in work.robot.policy_joint_names])
    return home + 0.3 * np.resize(positions, len(home))


def _measured(work: Work, time_s: float) -> NDArray[np.float64]:
    positions = work.state_scale * _told(work, max(time_s - LAG_S, 0.0))
    return work.later(positions) if time_s > work.later_s else positions


def _joint_state(work: Work, time_s: float) -> object:
    empty = np.zeros(0)
    return made("sensor_msgs/msg/JointState", header=header(time_s), name=list(work.robot.policy_joint_names),
                position=to_ros(work.robot, _measured(work, time_s)), velocity=empty, effort=empty)  # fmt: skip


def _trajectory(work: Work, time_s: float) -> object:
    empty = np.zeros(0)
    told = _told(work, time_s + REACH_S)
    told = work.later(told) if time_s > work.later_s else told
    point = made("trajectory_msgs/msg/JointTrajectoryPoint", positions=to_ros(work.robot, told), velocities=empty,
                 accelerations=empty, effort=empty,
                 time_from_start=made("builtin_interfaces/msg/Duration", sec=0, nanosec=round(REACH_S * S)))  # fmt: skip
    return made("trajectory_msgs/msg/JointTrajectory", header=header(time_s),
                joint_names=list(work.robot.policy_joint_names), points=[point])  # fmt: skip


def _frame(work: Work, time_s: float) -> NDArray[np.uint8]:
    camera = work.robot.cameras[0]
    frame = clock_picture(time_s if work.shown == "clock" else 0.0, camera.height, camera.width)
    frame = 0 * frame if work.shown == "black" else frame
    return frame // 2 if time_s > work.later_s else frame


def changed(**defects: object) -> ClockPolicy:
    """The good policy with these fields changed."""
    return replace(ClockPolicy(), **defects)
