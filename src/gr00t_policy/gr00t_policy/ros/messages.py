# SPDX-License-Identifier: Apache-2.0
"""Core types <-> ROS messages; commands are in ``core/command_wire.py``. Joint signs are turned by ``core/joint_order.py``.

ROS messages carry URDF names with URDF-convention values; core types carry the model convention
(value_model = sign * value_ros). Joints are found by name, never by position.
"""

from array import array

import numpy as np
from builtin_interfaces.msg import Time
from gr00t_msgs.msg import ActionChunk as ActionChunkMsg
from gr00t_msgs.msg import ConditioningTokens as ConditioningTokensMsg
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.types import ActionChunk, ConditioningTokens
from gr00t_policy.core.wire import mask_from_bytes, mask_to_bytes, tokens_from_bytes, tokens_to_buffer

NS_PER_S = 1_000_000_000


def stamp_from_ns(stamp_ns: int) -> Time:
    return Time(sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)


def ns_from_stamp(stamp: Time) -> int:
    return stamp.sec * NS_PER_S + stamp.nanosec


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


def tokens_to_message(tokens: ConditioningTokens, dtype: int, frame_id: str) -> ConditioningTokensMsg:
    """Tokens as a buffer of ``dtype`` (a DTYPE_* constant). Raises MessageError when they are not finite."""
    stage_s = tokens.stage_s
    data = array("B")  # rclpy takes it as it is; an ndarray it looks through number by number, 0.17 s for a megabyte
    data.frombytes(tokens_to_buffer(tokens.features, dtype).data)
    return ConditioningTokensMsg(
        header=Header(stamp=stamp_from_ns(tokens.stamp_ns), frame_id=frame_id),
        sequence=tokens.sequence,
        instruction=tokens.instruction,
        instruction_id=tokens.instruction_id,
        checkpoint_hash=tokens.checkpoint_hash,
        embodiment=tokens.embodiment,
        dtype=dtype,
        shape=list(tokens.features.shape),
        data=data,
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
