# SPDX-License-Identifier: Apache-2.0
"""Stamped images, joint states and sentences -> one Observation, or the reason why there is none.

Pure: the caller passes the time. The same code serves the nodes and recordings. Not locked: one thread owns an object.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.instruction import instruction_fault
from gr00t_policy.core.types import Observation

_KEPT_STATES = 64  # half a second at 120 Hz: enough to find the state of an image's instant
NS = 1e-9

_ROUNDING_S = 1e-9  # an age of exactly the limit is within it, whatever its last bit


class Reason(Enum):
    """Why a value or an observation was refused."""

    NO_INSTRUCTION = "no instruction"
    WRONG_INSTRUCTION = "wrong instruction"
    NO_IMAGE = "no image"
    STALE_IMAGE = "stale image"
    UNKNOWN_CAMERA = "unknown camera"
    WRONG_IMAGE = "wrong image"
    NO_STATE = "no joint state"
    STALE_STATE = "stale joint state"
    WRONG_STATE = "wrong joint state"
    OUT_OF_ORDER = "out of order"
    FROM_THE_FUTURE = "stamp in the future"
    TOO_FAR_APART = "stamps too far apart"


@dataclass(frozen=True)
class Refusal:
    """What was wrong, for counting (``reason``) and for people (``detail``)."""

    reason: Reason
    detail: str


@dataclass(frozen=True)
class StreamLimits:
    """How old and how far apart values may be. Ages are against ``now_ns``; skew is between the values themselves."""

    max_image_age_s: float = 0.3
    max_state_age_s: float = 0.1
    max_skew_s: float = 0.05
    max_future_s: float = 0.02
    max_instruction_bytes: int = 1000


DEFAULT_LIMITS = StreamLimits()


@dataclass(frozen=True)
class _Stamped:
    stamp_ns: int
    value: NDArray


class ObservationStreams:
    """Keeps the newest good values and combines them. A value refused never replaces a good one.

    ``refused`` counts refusals of values by reason. When the clock is set back (a simulation that starts again), what
    was held from its future is forgotten.
    """

    def __init__(
        self,
        embodiment: Embodiment,
        limits: StreamLimits = DEFAULT_LIMITS,
        cameras: Sequence[str] | None = None,
        *,
        needs_state: bool = True,
        newest_state: bool = False,
    ) -> None:
        """cameras: those an observation must have, default all. needs_state False: the state may be missing: (0,).

        newest_state: take the newest state, as the fast loop does, instead of the one nearest to the images.
        """
        self._embodiment = embodiment
        self._limits = limits
        self._cameras = {
            name: embodiment.camera(name) for name in cameras or [item.name for item in embodiment.cameras]
        }
        self._needs_state = needs_state
        self._newest_state = newest_state
        self._images: dict[str, _Stamped] = {}
        self._states: deque[_Stamped] = deque(maxlen=_KEPT_STATES)
        self._instruction = ""
        self.refused: Counter[Reason] = Counter()

    @property
    def instruction(self) -> str:
        """The sentence in force, "" for none."""
        return self._instruction

    def add_image(self, camera: str, image: NDArray[np.uint8], stamp_ns: int, now_ns: int) -> Refusal | None:
        """Offer one image (H, W, 3) uint8 RGB. Returns None when it was taken."""
        self._forget_future(now_ns)
        if camera not in self._cameras:
            return self._refuse(
                Reason.UNKNOWN_CAMERA, f"camera '{camera}' is not used; used: {', '.join(self._cameras)}"
            )
        expected = (self._cameras[camera].height, self._cameras[camera].width, 3)
        if image.shape != expected or image.dtype != np.uint8:
            got = f"{image.shape} {image.dtype}"
            return self._refuse(Reason.WRONG_IMAGE, f"camera '{camera}': expected {expected} uint8 RGB, got {got}")
        newest = self._images.get(camera)
        refusal = self._bad_stamp(f"image of '{camera}'", stamp_ns, now_ns, newest)
        if refusal is None:
            self._images[camera] = _Stamped(stamp_ns, image)
        return refusal

    def add_state(self, positions: NDArray[np.floating], stamp_ns: int, now_ns: int) -> Refusal | None:
        """Offer joint positions (J,) [rad], policy order. Returns None when they were taken."""
        self._forget_future(now_ns)
        names = self._embodiment.policy_joint_names
        if positions.shape != (len(names),):
            return self._refuse(Reason.WRONG_STATE, f"expected {len(names)} joint positions, got {positions.shape}")
        bad = np.flatnonzero(~np.isfinite(positions))
        if len(bad):
            listed = ", ".join(f"{names[index]}={positions[index]}" for index in bad[:4])
            return self._refuse(Reason.WRONG_STATE, f"not finite: {listed}")
        refusal = self._bad_stamp("joint state", stamp_ns, now_ns, self._states[-1] if self._states else None)
        if refusal is None:
            self._states.append(_Stamped(stamp_ns, np.array(positions, np.float32)))
        return refusal

    def set_instruction(self, sentence: str) -> Refusal | None:
        """Take a sentence; an empty one takes the old away. One that nobody may say is refused and the old stays."""
        fault = instruction_fault(sentence, self._limits.max_instruction_bytes)
        if fault:
            return self._refuse(Reason.WRONG_INSTRUCTION, f"the sentence {fault}")
        self._instruction = sentence.strip()
        return None

    def observe(self, now_ns: int) -> Observation | Refusal:
        """Newest images, a joint state, the sentence; or the first thing missing or too old."""
        self._forget_future(now_ns)
        if not self._instruction:
            return Refusal(Reason.NO_INSTRUCTION, "no sentence was given yet")
        missing = [name for name in self._cameras if name not in self._images]
        if missing:
            return Refusal(Reason.NO_IMAGE, f"no image of camera '{missing[0]}' yet")
        age_s = self.image_age_s(now_ns)
        if age_s > self._limits.max_image_age_s + _ROUNDING_S:
            limit_s = self._limits.max_image_age_s
            return Refusal(Reason.STALE_IMAGE, f"image is {age_s:.3f} s old, at most {limit_s:.3f} s is allowed")
        stamps = [self._images[name].stamp_ns for name in self._cameras]
        state = self._state_for(min(stamps))
        refusal = self._bad_state(state, now_ns)
        if refusal is not None:
            return refusal
        stamps += [state.stamp_ns] if state is not None and self._needs_state else []
        skew_s = (max(stamps) - min(stamps)) * NS
        if skew_s > self._limits.max_skew_s:
            limit_s = self._limits.max_skew_s
            detail = f"images and joint state are {skew_s:.3f} s apart, at most {limit_s:.3f} s is allowed"
            return Refusal(Reason.TOO_FAR_APART, detail)
        return Observation(
            images={name: self._images[name].value for name in self._cameras},
            state=state.value if state is not None else np.zeros(0, np.float32),
            instruction=self._instruction,
            image_stamp_ns=min(self._images[name].stamp_ns for name in self._cameras),
            state_stamp_ns=state.stamp_ns if state is not None else 0,
        )

    def image_age_s(self, now_ns: int) -> float:
        """Age of the oldest of the newest images; infinite before every camera gave one."""
        return max(self.image_ages_s(now_ns).values())

    def image_ages_s(self, now_ns: int) -> dict[str, float]:
        """Camera -> age of its newest image; infinite before it gave one."""
        return {
            name: (now_ns - self._images[name].stamp_ns) * NS if name in self._images else float("inf")
            for name in self._cameras
        }

    def state_age_s(self, now_ns: int) -> float:
        """Age of the newest joint state; infinite before the first."""
        return (now_ns - self._states[-1].stamp_ns) * NS if self._states else float("inf")

    def _state_for(self, image_ns: int) -> _Stamped | None:
        if self._newest_state:
            return self._states[-1] if self._states else None
        return min(self._states, key=lambda held: abs(held.stamp_ns - image_ns), default=None)

    def _bad_state(self, state: _Stamped | None, now_ns: int) -> Refusal | None:
        if not self._needs_state:
            return None
        if state is None:
            return Refusal(Reason.NO_STATE, "no joint state yet")
        age_s = self.state_age_s(now_ns)
        if age_s > self._limits.max_state_age_s + _ROUNDING_S:
            limit_s = self._limits.max_state_age_s
            return Refusal(Reason.STALE_STATE, f"joint state is {age_s:.3f} s old, at most {limit_s:.3f} s is allowed")
        return None

    def _bad_stamp(self, what: str, stamp_ns: int, now_ns: int, newest: _Stamped | None) -> Refusal | None:
        ahead_s = (stamp_ns - now_ns) * NS
        if ahead_s > self._limits.max_future_s:
            return self._refuse(Reason.FROM_THE_FUTURE, f"{what}: stamp is {ahead_s:.3f} s ahead of the clock")
        if newest is not None and stamp_ns <= newest.stamp_ns:
            behind_s = (newest.stamp_ns - stamp_ns) * NS
            return self._refuse(Reason.OUT_OF_ORDER, f"{what}: {behind_s:.3f} s behind one already seen")
        return None

    def _forget_future(self, now_ns: int) -> None:
        """Drop values from beyond the clock: they were fine when they came, so the clock has been set back."""
        horizon_ns = now_ns + self._limits.max_future_s / NS
        self._images = {name: held for name, held in self._images.items() if held.stamp_ns <= horizon_ns}
        while self._states and self._states[-1].stamp_ns > horizon_ns:
            self._states.pop()

    def _refuse(self, reason: Reason, detail: str) -> Refusal:
        self.refused[reason] += 1
        return Refusal(reason, detail)
