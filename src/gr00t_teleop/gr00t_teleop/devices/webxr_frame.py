# SPDX-License-Identifier: Apache-2.0
"""The binary frame that the page sends for each picture of the headset; ``webxr_page/operator.js`` writes it.

Little-endian float32. A header of 12: format, sequence, time (whole seconds, then milliseconds, of the page's
performance clock), epoch of the origin, clutch (1 held, 0 open, NaN no button), then 1 or 0: head, left wrist, right
wrist tracked, joints of the left and the right hand there, and one 0. A wrist that is 2 is the grip of a controller, whose
axes are others. Then 53 matrices of 16 by columns: head, left wrist, right wrist, 25 joints left, 25 right. Poses that the
headset guesses (``emulatedPosition``) are not tracked.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import MessageError
from gr00t_teleop.devices.device import DeviceSample
from gr00t_teleop.devices.frames import matrices_to_y_up, poses_from_y_up, wrist_from_grip
from gr00t_teleop.types import KEYPOINTS, tracked

FORMAT = 2
HEADER = 12
_POSES = 3 + 2 * len(KEYPOINTS)
FRAME_FLOATS = HEADER + 16 * _POSES
FRAME_BYTES = 4 * FRAME_FLOATS
_TRACKED, _GRIP = 1.0, 2.0
_EXACT = 2**24  # up to here float32 counts by one: two days of samples at 90 Hz
_WRISTS: dict[Literal["left", "right"], int] = {"left": 1, "right": 2}  # places among the poses


@dataclass(frozen=True)
class WebXrFrame:
    """sample: its clutch is false where the page has no button. has_button: whether it has one."""

    sample: DeviceSample
    has_button: bool


def decode_frame(data: bytes, connection: int) -> WebXrFrame:
    """The frame in our axes; what is not tracked is NaN. Raises MessageError when it is no frame of this format.

    connection: number of the connection, which with the page's own epoch makes the sample's.
    """
    if len(data) != FRAME_BYTES:
        raise MessageError(f"a frame has {len(data)} bytes, expected {FRAME_BYTES}; load the page again")
    floats = np.frombuffer(data, "<f4")
    header = floats[:HEADER].astype(np.float64)
    numbers = np.delete(header, 5)
    if header[0] != FORMAT or not ((numbers >= 0) & (numbers < _EXACT)).all():  # a number that is none is neither
        raise MessageError(
            f"a frame has format {header[0]:g} and header {header[1:].tolist()}, expected format {FORMAT} and numbers from 0 "
            f"to {_EXACT}; load the page again"
        )
    matrices = np.swapaxes(floats[HEADER:].reshape(_POSES, 4, 4), -1, -2)
    poses = poses_from_y_up(matrices)
    for side, place in _WRISTS.items():
        if header[6 + place] == _GRIP:
            poses[place] = wrist_from_grip(matrices[place], side)
    poses[~_seen(header)] = np.nan
    joints = len(KEYPOINTS)
    sample = DeviceSample(
        stamp_ns=int(header[2]) * 1_000_000_000 + int(header[3] * 1e6),
        sequence=int(header[1]),
        epoch=connection * 1_000_000 + int(header[4]),
        clutch=bool(header[5] == 1.0),
        head=poses[0],
        left_wrist=poses[1],
        right_wrist=poses[2],
        left_hand=poses[3 : 3 + joints],
        right_hand=poses[3 + joints :],
    )
    return WebXrFrame(sample, has_button=bool(np.isfinite(header[5])))


def encode_frame(frame: WebXrFrame) -> bytes:
    """Inverse of ``decode_frame``, for what speaks to the node in the page's place. A hand is sent whole or not at all.

    The frame's epoch is the page's own. Raises MessageError when the sample has no stamp: the page always has one.
    """
    sample = frame.sample
    if sample.stamp_ns is None:
        raise MessageError("a frame needs the time of its sample")
    parts = (sample.head, sample.left_wrist, sample.right_wrist, sample.left_hand, sample.right_hand)
    seconds, rest_ns = divmod(sample.stamp_ns, 1_000_000_000)
    clutch = float(sample.clutch) if frame.has_button else np.nan
    seen = [float(tracked(part).all()) for part in parts]
    floats = np.empty(FRAME_FLOATS, "<f4")
    floats[:HEADER] = [FORMAT, sample.sequence, seconds, rest_ns / 1e6, sample.epoch, clutch, *seen, 0.0]
    poses = np.nan_to_num(np.vstack(parts))
    floats[HEADER:] = np.swapaxes(matrices_to_y_up(poses), -1, -2).ravel()
    return floats.tobytes()


def _seen(header: NDArray[np.float64]) -> NDArray[np.bool_]:
    joints, said = len(KEYPOINTS), header[6:11]
    is_there = said == _TRACKED
    is_there[list(_WRISTS.values())] |= said[list(_WRISTS.values())] == _GRIP
    return np.asarray(is_there.repeat([1, 1, 1, joints, joints]))
