# SPDX-License-Identifier: Apache-2.0
"""What fewer Euler steps and fewer bits change in the actions [rad], on what the robot sees while it works in the simulator."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.types import ActionChunk, ConditioningTokens, Observation
from gr00t_policy.model.checkpoint import Checkpoint, load_checkpoint
from gr00t_policy.model.config import EULER_STEPS
from gr00t_policy.runtime.backends import default_cache, load_backend
from gr00t_policy.runtime.chunk_plan import Guide
from gr00t_policy.runtime.policy import Backend, Gr00tPolicy, Policy, PreparedTokens

TASKS = ("pick_named_object", "choose_bin", "stack", "open_drawer", "close_door", "lift_box")
SEED = 10000
EVERY = 4  # control periods of 50 ms from one kept observation to the next
LONGEST_S = 3.0
MOST = EULER_STEPS[-1]


@dataclass(frozen=True)
class ActionError:
    """Of one way to make chunks against another, over all observations, steps of the chunk and joints [rad]."""

    way: str
    against: str
    noise_scale: float
    max_rad: float
    rms_rad: float


@dataclass(frozen=True)
class StepErrors:
    """observations: how many; source: where they are from."""

    observations: int
    source: str
    errors: tuple[ActionError, ...]


Seen = list[tuple[ConditioningTokens, NDArray[np.float64]]]


def measure_step_errors(
    folder: Path, precision: str, embodiment: str = "", tokenizer: Path | None = None
) -> StepErrors:
    """Each number of steps in plain float32 against the most, and the OpenVINO engine in ``precision`` against plain float32 at
    the checkpoint's steps; each with the flow's centre, as on the robot, and with noise. Raises Gr00tError."""
    checkpoint = load_checkpoint(folder, embodiment or None, tokenizer=tokenizer)
    working = load_backend(checkpoint, "openvino", cache=default_cache(Path.home()))
    seen = observations(checkpoint, working, TASKS)
    source = f"rollouts of the checkpoint in the simulator, seed {SEED} of {', '.join(TASKS)}"
    return StepErrors(len(seen), source, step_errors(checkpoint, precision, seen))


def step_errors(checkpoint: Checkpoint, precision: str, seen: Seen) -> tuple[ActionError, ...]:
    """See ``measure_step_errors``."""
    own = checkpoint.config.head.steps
    plain = {
        n: load_backend(checkpoint.with_steps(n), "torch", part="head", dtype="float32", threads=1)
        for n in {own, *EULER_STEPS}
    }
    engine = load_backend(checkpoint, "openvino", precision, part="head")
    errors = []
    for noise_scale in (0.0, 1.0):
        chunks = {n: _chunks(checkpoint, backend, seen, noise_scale) for n, backend in plain.items()}
        for n in EULER_STEPS[:-1]:
            errors.append(_error(f"{n} step(s)", f"{MOST} steps", noise_scale, chunks[n] - chunks[MOST]))
        compiled = _chunks(checkpoint, engine, seen, noise_scale)
        way, against = f"openvino {precision}, {own} steps", f"float32, {own} steps"
        errors.append(_error(way, against, noise_scale, compiled - chunks[own]))
    return tuple(errors)


def observations(
    checkpoint: Checkpoint, backend: Backend, tasks: tuple[str, ...], longest_s: float = LONGEST_S
) -> Seen:
    """Tokens and joint states (J,) [rad] that the checkpoint meets when ``backend`` does one scene of each task with it."""
    from gr00t_sim.rollout import PolicyDriver, rollout
    from gr00t_sim.simulation import TabletopSim

    watched = _Watched(Gr00tPolicy(checkpoint, backend, noise_scale=0.0))
    for task in tasks:
        sim = TabletopSim(task)
        try:
            rollout(sim, PolicyDriver(sim, watched), SEED, max_s=longest_s)
        finally:
            sim.close()
    return watched.seen[::EVERY]


def _chunks(checkpoint: Checkpoint, backend: Backend, seen: Seen, noise_scale: float) -> NDArray[np.float64]:
    """(N, T, J) [rad]."""
    policy = Gr00tPolicy(checkpoint, backend, seed=SEED, noise_scale=noise_scale)
    chunks, used = [], None
    for tokens, state in seen:
        if tokens is not used:
            policy.accept(tokens)
            used = tokens
        chunks.append(policy.act(state, 0).positions)
    return np.stack(chunks)


def _error(way: str, against: str, noise_scale: float, difference: NDArray[np.float64]) -> ActionError:
    rms = float(np.sqrt(np.square(difference).mean()))
    return ActionError(way, against, noise_scale, float(np.abs(difference).max()), rms)


class _Watched:
    """A policy that keeps every pair of tokens and joint state it was asked about."""

    def __init__(self, policy: Policy) -> None:
        self.embodiment = policy.embodiment
        self.seen: Seen = []
        self._policy = policy
        self._tokens: ConditioningTokens | None = None

    def start_episode(self, seed: int) -> None:
        self._policy.start_episode(seed)

    def encode(self, observation: Observation, sequence: int = 0, instruction_id: int = 0) -> ConditioningTokens:
        return self._policy.encode(observation, sequence, instruction_id)

    def prepare(self, tokens: ConditioningTokens) -> PreparedTokens:
        return self._policy.prepare(tokens)

    def use(self, prepared: PreparedTokens) -> None:
        self._tokens = prepared.tokens
        self._policy.use(prepared)

    def accept(self, tokens: ConditioningTokens) -> None:
        self.use(self.prepare(tokens))

    def act(self, state: NDArray[np.floating], state_stamp_ns: int, guide: Guide | None = None) -> ActionChunk:
        assert self._tokens is not None
        self.seen.append((self._tokens, np.asarray(state, np.float64).copy()))
        return self._policy.act(state, state_stamp_ns, guide)
