# SPDX-License-Identifier: Apache-2.0
"""Core types <-> ROS messages. The only place that knows both, and the only place that turns joint signs.

ROS messages carry URDF names with URDF-convention values; core types carry the model convention
(value_model = sign * value_ros). Joints are found by name, never by position.
"""

from array import array
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from gr00t_msgs.msg import ActionChunk as ActionChunkMsg
from gr00t_msgs.msg import ConditioningTokens as ConditioningTokensMsg
from numpy.typing import NDArray
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from gr00t_policy.core.embodiment import Joint
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.types import ActionChunk, ConditioningTokens, JointCommand
from gr00t_policy.core.wire import mask_from_bytes, mask_to_bytes, tokens_from_bytes, tokens_to_bytes

NS_PER_S = 1_000_000_000
_RGB_ORDER = {"rgb8": (0, 1, 2), "bgr8": (2, 1, 0), "rgba8": (0, 1, 2), "bgra8": (2, 1, 0)}


def stamp_from_ns(stamp_ns: int) -> Time:
    return Time(sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)


def ns_from_stamp(stamp: Time) -> int:
    return stamp.sec * NS_PER_S + stamp.nanosec


def image_to_rgb(message: Image) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB; a view of the message's buffer where possible. Raises MessageError."""
    if message.encoding not in _RGB_ORDER:
        raise MessageError(f"image encoding '{message.encoding}' is not supported; use one of: {', '.join(_RGB_ORDER)}")
    channels = 4 if "a" in message.encoding else 3
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0 or step < width * channels or len(message.data) != height * step:
        raise MessageError(
            f"image {width}x{height} {message.encoding} with step {step} needs {height * max(step, width * channels)} "
            f"bytes, got {len(message.data)}"
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)[:, : width * channels]
    pixels = rows.reshape(height, width, channels)
    order = _RGB_ORDER[message.encoding]
    return pixels[:, :, :3] if order == (0, 1, 2) else pixels[:, :, list(order)]


def rgb_to_image(rgb: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """Image message of (H, W, 3) uint8 RGB."""
    height, width, _ = rgb.shape
    return Image(
        header=Header(stamp=stamp_from_ns(stamp_ns), frame_id=frame_id),
        height=height,
        width=width,
        encoding="rgb8",
        step=width * 3,
        data=array("B", np.ascontiguousarray(rgb, np.uint8).tobytes()),
    )


class JointOrder:
    """A fixed list of joints against messages that name theirs in any order.

    Owned by one thread: it remembers where the names of the last message stood, which makes repeats cheap.
    """

    def __init__(self, joints: Sequence[Joint]) -> None:
        self.names = tuple(joint.name for joint in joints)
        self._signs = np.array([joint.sign for joint in joints], np.float64)
        self._seen: tuple[str, ...] | None = None
        self._index = np.zeros(0, np.intp)

    def to_ros(self, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., J) model convention -> URDF convention (and back: signs are their own inverse)."""
        return positions * self._signs

    def positions(
        self, names: Sequence[str], values: Sequence[float] | NDArray[np.floating], what: str
    ) -> NDArray[np.float64]:
        """(J,) model convention from values under ``names``; joints that are not ours are ignored.

        Raises MessageError naming joints that are missing, repeated or not finite, or when lengths differ.
        """
        if len(values) != len(names):
            raise MessageError(f"{what}: {len(names)} names but {len(values)} positions")
        self._look_up(tuple(names), what)
        picked = np.asarray(values, np.float64)[self._index]
        finite = np.isfinite(picked)
        if not finite.all():
            bad = ", ".join(f"{self.names[i]}={picked[i]}" for i in np.flatnonzero(~finite)[:4])
            raise MessageError(f"{what}: not finite: {bad}")
        return picked * self._signs

    def exactly(self, names: Sequence[str], what: str) -> None:
        """Raise MessageError unless ``names`` are our joints, each once, in any order."""
        given = tuple(names)
        if given == self._seen and len(given) == len(self.names):
            return
        unknown = [name for name in given if name not in self.names]
        if unknown:
            raise MessageError(f"{what}: unknown joint(s) {', '.join(unknown[:4])}; known: {', '.join(self.names)}")
        self._look_up(given, what)

    def _look_up(self, names: tuple[str, ...], what: str) -> None:
        if names != self._seen:
            self._index = self._find(names, what)
            self._seen = names

    def _find(self, names: tuple[str, ...], what: str) -> NDArray[np.intp]:
        where = {name: i for i, name in enumerate(names)}
        if len(where) != len(names):
            repeated = sorted({name for name in names if names.count(name) > 1})
            raise MessageError(f"{what}: joint(s) named twice: {', '.join(repeated[:4])}")
        missing = [name for name in self.names if name not in where]
        if missing:
            more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
            given = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
            raise MessageError(f"{what}: missing joint(s) {', '.join(missing[:4])}{more}; it has: {given or 'none'}")
        return np.array([where[name] for name in self.names], np.intp)


def joint_state_to_positions(message: JointState, order: JointOrder) -> NDArray[np.float64]:
    """(J,) [rad] model convention in the order of ``order``. Raises MessageError."""
    return order.positions(message.name, message.position, "joint state")


def positions_to_joint_state(
    order: JointOrder,
    positions: NDArray[np.floating],
    stamp_ns: int,
    velocities: NDArray[np.floating] | None = None,
) -> JointState:
    """JointState of (J,) positions [rad] and, when given, (J,) velocities [rad/s], model convention."""
    message = JointState(name=list(order.names))
    message.header.stamp = stamp_from_ns(stamp_ns)
    message.position = array("d", order.to_ros(positions).tobytes())
    if velocities is not None:
        message.velocity = array("d", order.to_ros(velocities).tobytes())
    return message


def tokens_to_message(tokens: ConditioningTokens, dtype: int, frame_id: str) -> ConditioningTokensMsg:
    """Tokens as a buffer of ``dtype`` (a DTYPE_* constant). Raises MessageError when they are not finite."""
    stage_s = tokens.stage_s
    return ConditioningTokensMsg(
        header=Header(stamp=stamp_from_ns(tokens.stamp_ns), frame_id=frame_id),
        sequence=tokens.sequence,
        instruction=tokens.instruction,
        instruction_id=tokens.instruction_id,
        checkpoint_hash=tokens.checkpoint_hash,
        embodiment=tokens.embodiment,
        dtype=dtype,
        shape=list(tokens.features.shape),
        data=array("B", tokens_to_bytes(tokens.features, dtype)),
        attention_mask=array("B", mask_to_bytes(tokens.mask)),
        preprocess_s=stage_s.get("preprocess", 0.0),
        encode_s=stage_s.get("encode", 0.0),
        wait_s=stage_s.get("wait", 0.0),
    )


def tokens_from_message(message: ConditioningTokensMsg) -> ConditioningTokens:
    """Tokens of a message. Raises MessageError when sizes disagree or a value is not finite."""
    features = tokens_from_bytes(message.data, message.dtype, message.shape)
    return ConditioningTokens(
        features=features,
        mask=mask_from_bytes(message.attention_mask, len(features)),
        stamp_ns=ns_from_stamp(message.header.stamp),
        sequence=message.sequence,
        instruction=message.instruction,
        instruction_id=message.instruction_id,
        checkpoint_hash=message.checkpoint_hash,
        embodiment=message.embodiment,
        stage_s={"preprocess": message.preprocess_s, "encode": message.encode_s, "wait": message.wait_s},
    )


def chunk_to_message(chunk: ActionChunk, order: JointOrder) -> ActionChunkMsg:
    """Chunk whose columns are those of ``order``."""
    return ActionChunkMsg(
        header=Header(stamp=stamp_from_ns(chunk.stamp_ns)),
        step_dt=chunk.step_dt_s,
        horizon=len(chunk.positions),
        joint_names=list(order.names),
        positions=array("d", order.to_ros(chunk.positions).tobytes()),
        chunk_id=chunk.chunk_id,
        tokens_sequence=chunk.tokens_sequence,
        tokens_stamp=stamp_from_ns(chunk.tokens_stamp_ns),
        state_stamp=stamp_from_ns(chunk.state_stamp_ns),
        seed=chunk.seed,
        inference_s=chunk.inference_s,
    )


def chunk_from_message(message: ActionChunkMsg, order: JointOrder) -> ActionChunk:
    """Chunk with columns as ``order``. Raises MessageError on sizes, names, values that are not finite."""
    order.exactly(message.joint_names, "action chunk")
    joints = len(order.names)
    if message.horizon == 0 or len(message.positions) != message.horizon * joints:
        raise MessageError(
            f"action chunk: {message.horizon} steps of {joints} joints, but {len(message.positions)} positions"
        )
    rows = np.frombuffer(message.positions, np.float64).reshape(message.horizon, joints)
    return ActionChunk(
        stamp_ns=ns_from_stamp(message.header.stamp),
        step_dt_s=message.step_dt,
        joint_names=order.names,
        positions=np.stack([order.positions(message.joint_names, row, "action chunk") for row in rows]),
        chunk_id=message.chunk_id,
        tokens_sequence=message.tokens_sequence,
        tokens_stamp_ns=ns_from_stamp(message.tokens_stamp),
        state_stamp_ns=ns_from_stamp(message.state_stamp),
        seed=message.seed,
        inference_s=message.inference_s,
    )


def command_to_message(command: JointCommand, order: JointOrder, from_ns: int) -> JointTrajectory:
    """One-point trajectory: header.stamp = ``from_ns``, the joint state it was computed from; reached at its stamp."""
    reach_ns = max(command.stamp_ns - from_ns, 0)
    point = JointTrajectoryPoint(
        positions=array("d", order.to_ros(command.positions).tobytes()),
        time_from_start=Duration(sec=reach_ns // NS_PER_S, nanosec=reach_ns % NS_PER_S),
    )
    return JointTrajectory(header=Header(stamp=stamp_from_ns(from_ns)), joint_names=list(order.names), points=[point])


def command_from_message(message: JointTrajectory, order: JointOrder) -> JointCommand:
    """The one point of a command for exactly the joints of ``order``. Raises MessageError."""
    if len(message.points) != 1:
        raise MessageError(f"joint trajectory: expected one point, got {len(message.points)}")
    order.exactly(message.joint_names, "joint trajectory")
    point = message.points[0]
    reach_ns = point.time_from_start.sec * NS_PER_S + point.time_from_start.nanosec
    return JointCommand(
        stamp_ns=ns_from_stamp(message.header.stamp) + reach_ns,
        joint_names=order.names,
        positions=order.positions(message.joint_names, point.positions, "joint trajectory"),
    )
