# SPDX-License-Identifier: Apache-2.0
"""MVN's Network Streamer: a person of known motion in its segments, as real UDP datagrams; and what no suit would do."""

import socket
import struct
import threading
import time

import numpy as np
from made_people import moving
from made_people import sample as true_sample

from gr00t_teleop.devices.frames import composed, poses_from_y_up
from gr00t_teleop.devices.simple_hand import simple_hand
from gr00t_teleop.types import KEYPOINTS

UPRIGHT = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
# The turn about z from our wrist to MVN's hand segment: its left hand points to its y in a T pose, its right one to -y.
MVN_FROM_OURS = {"left": -np.pi / 2, "right": np.pi / 2}


def about_z(angle: float) -> np.ndarray:
    return np.array([0.0, 0.0, 0.0, 0.0, 0.0, np.sin(angle / 2), np.cos(angle / 2)])


def true_hand(side: str, t: float) -> np.ndarray:
    """Key points (25, 7) of the person at t [s]: a hand that opens and closes on the moving wrist."""
    return simple_hand(poses_from_y_up(moving(side, t)), side, 0.5 + 0.4 * np.sin(2 * t))


def body_segments(t: float) -> np.ndarray:
    """(23, 7) of which pelvis, head, forearms and hands are of the moving person; the others stand by."""
    truth = true_sample(t)
    segments = np.tile(UPRIGHT, (23, 1))
    segments[0, 2], segments[6] = 1.0, truth.head
    for side, forearm, place in (("right", 9, 10), ("left", 13, 14)):
        wrist = getattr(truth, f"{side}_wrist")
        segments[place] = composed(wrist, about_z(MVN_FROM_OURS[side]))
        segments[forearm] = composed(wrist, np.array([-0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]))
    return segments


def finger_segments(t: float) -> np.ndarray:
    """(40, 7): of each hand the carpus and the joints, without tips; a segment's axes are those of the bone it begins."""
    rows = []
    for side in ("left", "right"):
        points = true_hand(side, t)
        turned = np.concatenate(
            [points[:, :3], np.concatenate([points[:1, 3:], points[2:, 3:], points[-1:, 3:]])], axis=1
        )
        joints = [turned[i] for i, name in enumerate(KEYPOINTS) if not name.endswith("_tip")]
        rows += [composed(joint, about_z(MVN_FROM_OURS[side])) for joint in joints]
    return np.array(rows)


def datagrams(
    segments: np.ndarray,
    counter: int,
    time_code_ms: int,
    *,
    parts: int = 1,
    kind: bytes = b"02",
    character: int = 0,
    props: int = 0,
    fingers: int = 0,
) -> list[bytes]:
    """The datagrams of one sample, split into ``parts``."""
    made = []
    pieces = np.array_split(np.arange(len(segments)), parts)
    for index, places in enumerate(pieces):
        last = 0x80 if index == parts - 1 else 0
        body = b"".join(
            struct.pack(">I7f", place + 1, *segments[place, :3], *segments[place, [6, 3, 4, 5]]) for place in places
        )
        header = struct.pack(
            ">6sIBBIBBBB2xH",
            b"MXTP" + kind,
            counter % 2**32,
            index | last,
            len(places),
            time_code_ms,
            character,
            23,
            props,
            fingers,
            len(body),
        )
        made.append(header + body)
    return made


class FakeMvn:
    """Streams to a port of this computer. Attributes may be changed while it runs."""

    def __init__(self, port: int, rate_hz: float = 100.0) -> None:
        self.rate_hz, self.parts, self.has_gloves, self.character, self.kind, self.props = (
            rate_hz,
            1,
            False,
            0,
            b"02",
            0,
        )
        self.counter = 10_000
        self.frozen_at: float | None = None
        self.offset_m = 0.0  # of the right hand and forearm
        self.scale = 1.0  # 100: centimetres
        self.is_y_up = self.is_broken = self.is_silent = self.holds_back = self.drops_last = self.swaps = False
        self.clock_runs = True
        self.extra: list[bytes] = []  # sent beside each sample
        self._held: list[bytes] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._to = ("127.0.0.1", port)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ending.is_set():
            self.counter += 1
            if not self.is_silent:
                self._held += self._sample(time.monotonic())
            while self._held and not self.holds_back:
                self._socket.sendto(self._held.pop(0), self._to)
            due += 1 / self.rate_hz
            self._ending.wait(max(0.0, due - time.monotonic()))

    def _sample(self, now: float) -> list[bytes]:
        t = self.frozen_at or now
        body, fingers = body_segments(t), finger_segments(t) if self.has_gloves else np.empty((0, 7))
        body[[9, 10], 0] += self.offset_m
        props = np.tile(UPRIGHT, (self.props, 1))
        segments = np.concatenate([body, props, fingers])
        segments[:, :3] *= self.scale
        if self.is_y_up:  # MVN's other choice: x ahead, y up, z to the right
            segments[:, :3] = segments[:, [0, 2, 1]] * (1.0, 1.0, -1.0)
        if self.is_broken:
            segments[14] = np.nan
        time_code_ms = int(now * 1000) if self.clock_runs else 7
        how = {"character": self.character, "kind": self.kind, "props": self.props, "fingers": len(fingers)}
        made = datagrams(segments, self.counter, time_code_ms, parts=self.parts, **how)
        made = made[:-1] if self.drops_last else made[::-1] if self.swaps else made
        return made + self.extra
