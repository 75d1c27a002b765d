# SPDX-License-Identifier: Apache-2.0
"""What the policy attends to: at some recorded moments picture, sentence or joint state is replaced, and its chunk compared."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bag_evaluation.replay import Probe
from gr00t_policy.core.types import Observation
from gr00t_policy.runtime.policy import Policy

BLACK, OTHER_PICTURE, EMPTY, OTHER_SENTENCE, OTHER_STATE = (
    "black picture",
    "picture of another moment",
    "empty sentence",
    "another sentence",
    "joint state of another moment",
)
SEEDS = 4
_FAR_STATE_RAD = 0.02  # of two moments, root mean square over joints: closer states tell nothing
_BLACK_LEVEL = 10  # of 255: no pixel of a covered camera is brighter
_STRONG = 90  # percentile over moments: what matters may do so at some of them only


@dataclass(frozen=True)
class Effect:
    """How much chunks change [rad], root mean square over steps and joints: at the usual moment, and at the stronger ones.

    share: the stronger value over how far the policy's own chunks go from where the robot is. moments: how many were asked.
    """

    median_rad: float
    strong_rad: float
    share: float
    moments: int


@dataclass(frozen=True)
class Sensitivity:
    """motion_rad: how far chunks go from where the robot is, at the stronger moments. noise: how much seeds of the
    trained noise change chunks; None when the policy has no noise. black: moments at which a recorded picture is black;
    frozen: all recorded pictures are the same.
    """

    motion_rad: float
    effects: dict[str, Effect]
    noise: Effect | None
    other_sentence: str
    black: int = 0
    frozen: bool = False


def sensitivity(
    policy: Policy, probes: Sequence[Probe], other_sentence: str, noisy: Policy | None = None, seed: int = 0
) -> Sensitivity:
    """Ask ``policy`` at each probe again and again. noisy: the same network with the noise it was trained with."""
    asked = _Asked(policy, seed)
    usual = [asked.chunk(probe, probe.observation, probe.state) for probe in probes]
    motions = [_rms(chunk - probe.state) for chunk, probe in zip(usual, probes, strict=True)]
    motion_rad = float(np.percentile(motions, _STRONG)) if motions else 0.0

    def effect(change: Callable[[int, Probe], tuple[Observation, NDArray[np.float64]] | None]) -> Effect:
        sizes = []
        for number, probe in enumerate(probes):
            changed = change(number, probe)
            if changed is not None:
                sizes.append(_rms(asked.chunk(probe, *changed) - usual[number]))
        return _effect(sizes, motion_rad)

    def with_sentence(text: str) -> Callable[[int, Probe], tuple[Observation, NDArray[np.float64]]]:
        return lambda _, probe: (replace(probe.observation, instruction=text), probe.state)

    def far_state(number: int, probe: Probe) -> tuple[Observation, NDArray[np.float64]] | None:
        other = _counterpart(probes, number).state
        return (probe.observation, other) if _rms(other - probe.state) > _FAR_STATE_RAD else None

    def no_picture(_: int, probe: Probe) -> tuple[Observation, NDArray[np.float64]] | None:
        return None if _is_black(probe) else (_with_pictures(probe.observation, None), probe.state)

    def other_picture(number: int, probe: Probe) -> tuple[Observation, NDArray[np.float64]] | None:
        other = _counterpart(probes, number)
        return (
            None if _same_picture(probe, other) else (_with_pictures(probe.observation, other.observation), probe.state)
        )

    effects = {
        BLACK: effect(no_picture),
        OTHER_PICTURE: effect(other_picture),
        EMPTY: effect(with_sentence("")),
        OTHER_SENTENCE: effect(with_sentence(other_sentence)),
        OTHER_STATE: effect(far_state),
    }
    noise = None
    if noisy is not None:
        noise = _effect([size for probe in probes for size in _spread(noisy, probe, seed)], motion_rad)
    black = sum(_is_black(probe) for probe in probes)
    frozen = len(probes) > 1 and all(_same_picture(probes[0], probe) for probe in probes)
    return Sensitivity(motion_rad, effects, noise, other_sentence, black, frozen)


class _Asked:
    """Chunks of one policy; the noise is that of the seed each time."""

    def __init__(self, policy: Policy, seed: int) -> None:
        self._policy, self._seed = policy, seed

    def chunk(self, probe: Probe, seen: Observation, state: NDArray[np.float64]) -> NDArray[np.float64]:
        """(T, J) [rad]"""
        self._policy.start_episode(self._seed)
        self._policy.accept(self._policy.encode(seen))
        return self._policy.act(state, probe.state_stamp_ns).positions


def _spread(noisy: Policy, probe: Probe, seed: int) -> Iterable[float]:
    """How far the chunks of two seeds are apart."""
    chunks = [_Asked(noisy, seed + number).chunk(probe, probe.observation, probe.state) for number in range(SEEDS)]
    return [_rms(after - before) for before, after in pairwise(chunks)]


def _counterpart(probes: Sequence[Probe], number: int) -> Probe:
    """A moment half of all moments away: another phase of the task, or another episode."""
    return probes[(number + max(len(probes) // 2, 1)) % len(probes)]


def _is_black(probe: Probe) -> bool:
    return any(picture.max() < _BLACK_LEVEL for picture in probe.observation.images.values())


def _same_picture(one: Probe, other: Probe) -> bool:
    return all(
        np.array_equal(picture, other.observation.images[name]) for name, picture in one.observation.images.items()
    )


def _with_pictures(seen: Observation, other: Observation | None) -> Observation:
    images = other.images if other else {name: np.zeros_like(picture) for name, picture in seen.images.items()}
    return replace(seen, images=images)


def _effect(sizes: Sequence[float], motion_rad: float) -> Effect:
    if not sizes:
        return Effect(float("nan"), float("nan"), float("nan"), 0)
    strong = float(np.percentile(sizes, _STRONG))
    share = strong / motion_rad if motion_rad > 0 else float("nan")
    return Effect(float(np.median(sizes)), strong, share, len(sizes))


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt((np.asarray(values) ** 2).mean()))
