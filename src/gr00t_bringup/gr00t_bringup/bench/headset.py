# SPDX-License-Identifier: Apache-2.0
"""A headset for measuring: streams a person who moves smoothly through the real page's protocol, and says when. A program.

``python -m gr00t_bringup.bench.headset ADDRESS CODE CERTIFICATE TIMES``: until SIGINT or SIGTERM, then it writes into TIMES when
it took each frame, by the system clock [ns], the first one first.
"""

import asyncio
import contextlib
import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.devices.webxr_client import WebXrClient
from gr00t_teleop.devices.webxr_frame import FORMAT, FRAME_FLOATS, HEADER

RATE_HZ = 90.0  # of a Quest 3's hands, and of most displays
_OPEN_S = 2.0  # the clutch is closed after this
_TIME = slice(2, 4)  # of the header
_ACROSS_M = (0.05, 0.03, 0.01, -0.01, -0.03)  # thumb to little finger, from the middle of the hand
_AHEAD_M = (0.03, 0.09, 0.12, 0.14, 0.16)  # metacarpal to tip
_SWING_M, _TREMOR_M, _TURN_RAD = 0.05, 0.001, 0.2


def frame(at_s: float, sequence: int, *, clutch: bool) -> NDArray[np.float32]:
    """The page's frame of the person at ``at_s`` [s] of its clock, as numbers; everything is tracked."""
    floats = np.zeros(FRAME_FLOATS, "<f4")
    floats[:HEADER] = [FORMAT, sequence, int(at_s), at_s % 1 * 1000, 1, clutch, 1, 1, 1, 1, 1, 0]
    head, left, right = _at(0.0, 1.6, 0.0), _wrist(-1.0, at_s), _wrist(1.0, at_s)
    matrices = [head, left, right, *(left @ _hand(1.0, at_s)), *(right @ _hand(-1.0, at_s))]
    floats[HEADER:] = np.swapaxes(np.array(matrices), -1, -2).ravel()
    return floats


async def stream(address: str, code: str, certificate: Path, ending: asyncio.Event) -> list[int]:
    """Send until ``ending``; when each frame was taken [ns]. Raises HeadsetRefusedError when the page refuses the headset."""
    taken_ns: list[int] = []
    async with WebXrClient(address, code, certificate) as client:
        client.accepted()
        began_s, began_ns = time.monotonic(), time.time_ns()
        while not ending.is_set():
            due_s = len(taken_ns) / RATE_HZ
            # To make a person up is no part of a headset's work: their pose is ready when it is to be taken.
            floats = frame(due_s, len(taken_ns) + 1, clutch=due_s > _OPEN_S)
            await asyncio.sleep(max(0.0, began_s + due_s - time.monotonic()))
            at_s = time.monotonic() - began_s
            taken_ns.append(began_ns + round(at_s * 1e9))
            floats[_TIME] = int(at_s), at_s % 1 * 1000
            with contextlib.suppress(ConnectionError):  # the page ends before the headset
                await client.send(floats.tobytes())
    return taken_ns


async def _until_told(address: str, code: str, certificate: Path) -> list[int]:
    ending = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    return await stream(address, code, certificate, ending)


def _at(x: float, y: float, z: float) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def _wrist(side: float, at_s: float) -> NDArray[np.float64]:
    """In a headset's axes (x right, y up, z back); side: 1 right, -1 left.

    From where the clutch is closed it only goes ahead and out, and turns up to 0.2 rad: never into the robot's own body.
    """
    time_s = max(at_s - _OPEN_S, 0.0)
    out_m, ahead_m = (_SWING_M * (1 - np.cos(speed * time_s)) for speed in (1.4, 1.7))
    tremor_m = _TREMOR_M * np.sin(9.0 * at_s)  # a wrist that does not move at all counts as lost
    matrix = _at(side * (0.2 + out_m), 1.1 + _SWING_M * np.sin(2.0 * time_s) + tremor_m, -0.35 - ahead_m)
    angle = _TURN_RAD * np.sin(1.1 * time_s)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


def _hand(thumb_side: float, at_s: float) -> NDArray[np.float64]:
    """(25, 4, 4) in the wrist: fingers ahead, which bend and stretch."""
    joints = [np.eye(4)]
    for number, across_m in enumerate(_ACROSS_M):
        for ahead_m in _AHEAD_M[1:] if number == 0 else _AHEAD_M:
            bent_m = 0.3 * (0.5 + 0.5 * np.sin(2.0 * at_s)) * max(ahead_m - 0.09, 0.0)
            joints.append(_at(thumb_side * across_m, -bent_m, bent_m - ahead_m))
    return np.array(joints)


def main() -> int:
    address, code, certificate, times = sys.argv[1:]
    Path(times).write_text(json.dumps(asyncio.run(_until_told(address, code, Path(certificate)))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
