# SPDX-License-Identifier: Apache-2.0
"""MVN's network streaming protocol, pose as quaternions: datagrams -> whole samples. Revision N (finger data) and later.

Big-endian. Header of 24 bytes: "MXTP" and the type as two digits, sample counter u32, datagram counter u8 (its highest bit
marks the last of a sample), items u8, time code u32 [ms], character u8, numbers of body segments, props and finger
segments u8 each, 2 bytes reserved, size of what follows u16. Then items of 32 bytes: identity u32, position 3 x f32 [m],
quaternion w x y z 4 x f32.
"""

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import MessageError

BODY_SEGMENTS, FINGER_SEGMENTS = 23, 40
POSE_TYPE = b"02"
_MAGIC = b"MXTP"
_HEADER = struct.Struct(">4s2sIBBIBBBB2xH")
_ITEM = np.dtype([("identity", ">u4"), ("position", ">f4", 3), ("wxyz", ">f4", 4)])
_LAST = 0x80
# Datagrams that overtake each other are a few samples apart; a counter further back has begun anew.
_RESTART = 100

Refusal = Literal["not_mvn", "other_type", "wrong_length", "wrong_segments"]


class MvnError(MessageError):
    """A datagram that is not used. ``reason``: by which it is counted."""

    def __init__(self, reason: Refusal, text: str) -> None:
        super().__init__(text)
        self.reason: Refusal = reason


@dataclass(frozen=True)
class Datagram:
    """poses (items, 7): position and quaternion x y z w, as sent. index: its place in the sample, from 0."""

    sample: int
    index: int
    is_last: bool
    time_code_ms: int
    character: int
    props: int
    fingers: int
    identities: NDArray[np.uint32]
    poses: NDArray[np.float64]


@dataclass(frozen=True)
class MvnSample:
    """One instant of one character. body (23, 7); fingers (40, 7), left then right, or none (0, 7)."""

    sample: int
    time_code_ms: int
    body: NDArray[np.float64]
    fingers: NDArray[np.float64]


def read_datagram(data: bytes) -> Datagram:
    """Raises MvnError when it is not of this protocol, not of quaternion poses, or not as long as it says."""
    if len(data) < _HEADER.size or data[:4] != _MAGIC:
        raise MvnError(
            "not_mvn", f"a datagram of {len(data)} bytes begins with {data[:6]!r}, expected 'MXTP02': is it from MVN?"
        )
    _, kind, sample, counter, items, time_code_ms, character, body, props, fingers, size = _HEADER.unpack_from(data)
    if kind != POSE_TYPE:
        raise MvnError(
            "other_type",
            f"MVN sends type {kind.decode('ascii', 'replace')!r} and not '02'; in its Network Streamer tick "
            "'Position + Orientation (Quaternion)'",
        )
    given, said = len(data) - _HEADER.size, items * _ITEM.itemsize
    if given != said or size not in (said, 0):  # versions before 2019 leave the size empty
        raise MvnError(
            "wrong_length", f"a datagram has {given} bytes after its header, expected {said} for {items} segments"
        )
    if body not in (BODY_SEGMENTS, 0) or fingers not in (FINGER_SEGMENTS, 0):
        raise MvnError(
            "wrong_segments", f"a character of {body} body and {fingers} finger segments, expected 23 and 0 or 40"
        )
    found = np.frombuffer(data, _ITEM, offset=_HEADER.size)
    poses = np.concatenate([found["position"], found["wxyz"][:, [1, 2, 3, 0]]], axis=1).astype(np.float64)
    identities = found["identity"].astype(np.uint32)
    index, is_last = counter & ~_LAST, bool(counter & _LAST)
    return Datagram(sample, index, is_last, time_code_ms, character, props, fingers, identities, poses)


@dataclass
class SampleAssembly:
    """Puts the datagrams of one sender together, in whatever order they come. Only the newest sample is waited for.

    counts: samples never complete, and datagrams of samples that are over. restarts: how often the counter began anew.
    """

    counts: Counter[str] = field(default_factory=lambda: Counter({"incomplete": 0, "outrun": 0}))
    restarts: int = 0
    _sample: int | None = None
    _is_done: bool = False
    _parts: dict[int, Datagram] = field(default_factory=dict)

    def add(self, part: Datagram) -> MvnSample | None:
        """The sample that the datagram completes, if it does. Raises MvnError when its segments are not a character's."""
        ahead = 1 if self._sample is None else (part.sample - self._sample + 2**31) % 2**32 - 2**31
        if ahead < 0 and ahead > -_RESTART:
            self.counts["outrun"] += 1
            return None
        if ahead != 0:
            self.counts["incomplete"] += bool(self._parts) and not self._is_done
            self.restarts += ahead < 0
            self._sample, self._is_done, self._parts = part.sample, False, {}
        if self._is_done or part.index in self._parts:
            self.counts["outrun"] += 1
            return None
        self._parts[part.index] = part
        last = max(self._parts)
        if not self._parts[last].is_last or len(self._parts) != last + 1:
            return None
        self._is_done = True
        return _whole([self._parts[index] for index in range(last + 1)])


def _whole(parts: list[Datagram]) -> MvnSample:
    identities = np.concatenate([part.identities for part in parts])
    poses = np.concatenate([part.poses for part in parts])
    first = parts[0]
    expected = BODY_SEGMENTS + first.props + first.fingers
    if len(poses) != expected or not np.array_equal(identities[:BODY_SEGMENTS], np.arange(1, BODY_SEGMENTS + 1)):
        raise MvnError(
            "wrong_segments",
            f"a sample has {len(poses)} segments that begin with {identities[:3].tolist()}, expected {expected} "
            f"(23 of the body from 1 on, {first.props} props, {first.fingers} of fingers)",
        )
    return MvnSample(first.sample, first.time_code_ms, poses[:BODY_SEGMENTS], poses[expected - first.fingers :])
