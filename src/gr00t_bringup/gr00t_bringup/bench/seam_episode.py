# SPDX-License-Identifier: Apache-2.0
"""One scene with one way to execute chunks: driven to its end, and once more with its object moved under the reaching hand."""

from dataclasses import dataclass, field
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bench.seam_figures import ORDERS, inside_chunk, turned_after_s
from gr00t_bringup.bench.seam_stack import RATE_HZ, StackInTime, Tick, Timing
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.core.types import ActionChunk
from gr00t_policy.runtime.config import CHUNK_MODES, ControllerConfig, check_choice
from gr00t_policy.runtime.policy import Gr00tPolicy, Policy
from gr00t_sim.checkpoint_policy import load_policy
from gr00t_sim.lasting_success import SUCCESS_LASTS_S, LastingSuccess
from gr00t_sim.simulation import TabletopSim

MOVED_M = 0.08
_NEAR_M, _FAR_M = 0.12, 0.25  # the hand's distance when the object is moved
_APART_M = 0.12  # from its new place to any other thing
_AFTER_S = 1.5  # watched after it was moved
_STILL_M = 0.005
_JUDGE_EVERY = 6  # ticks
_MORE = ("smooth", "compensated", "staggered")  # what may be added to a mode


@dataclass(frozen=True)
class Way:
    """How chunks are executed: mode, 'smooth' curve between steps, latency 'compensated', 'staggered' Euler steps; written
    mode+smooth+compensated+staggered."""

    mode: str
    smooth: bool = False
    compensated: bool = False
    staggered: bool = False

    def __str__(self) -> str:
        return self.mode + "".join(f"+{name}" for name in _MORE if getattr(self, name))

    @staticmethod
    def parse(text: str) -> "Way":
        """Raises ConfigError."""
        mode, *more = text.split("+")
        check_choice("ways", mode, CHUNK_MODES)
        if unknown := set(more) - set(_MORE):
            raise ConfigError(
                f"way '{text}': '{'+'.join(sorted(unknown))}' is unknown; add +{', +'.join(_MORE)} or nothing"
            )
        way = Way(mode, **{name: name in more for name in _MORE})
        ControllerConfig(chunk_mode=mode, staggered=way.staggered)  # refuses what does not go together
        return way


@dataclass(frozen=True)
class SeamJob:
    """One scene, one way, one timing. checkpoint_hash: of what the folder held when the work began; "" for any."""

    checkpoint: Path
    way: Way
    timing: Timing
    task: str
    seed: int
    max_s: float
    blend_time_s: float
    turn_m: float
    checkpoint_hash: str = ""

    def __str__(self) -> str:
        return f"{self.way} at {self.timing.head_rate_hz:g} Hz, {self.task}, seed {self.seed}"


@dataclass(frozen=True)
class SeamEpisode:
    """commands, given (N, J) [rad] of arms, waist and neck, as the controller and as the limits gave them; new_chunk (N,).

    inside (3, N): first, second and third differences inside the head's chunks, each by itself, as ``inside_chunk``.
    reaction_s: from when the object was moved until the commanded hand turned; NaN: it did not within 1.5 s. moved: whether
    there was an instant and a place to move it to.
    """

    job: SeamJob
    success: bool
    seconds: float
    commands: NDArray[np.float64] = field(repr=False)
    given: NDArray[np.float64] = field(repr=False)
    new_chunk: NDArray[np.bool_] = field(repr=False)
    inside: tuple[NDArray[np.float64], ...] = field(repr=False)
    moved: bool = False
    reaction_s: float = float("nan")


def run_episode(job: SeamJob) -> SeamEpisode:
    """In a worker process: network and simulator are loaded once. Raises Gr00tError."""
    return drive(job, _simulator(job.task), _policy(job.checkpoint, job.checkpoint_hash))


def drive(job: SeamJob, sim: TabletopSim, policy: Policy) -> SeamEpisode:
    """The job's scene with a policy that is there already; the checkpoint is not read."""
    driven = _Scene(job, sim, policy)
    ticks = driven.run()
    arms = _arms(policy)
    commands, given = (np.array([getattr(tick, name)[arms] for tick in ticks]) for name in ("command", "given"))
    fresh = np.array([tick.new_chunk for tick in ticks], bool)
    inside = _inside(job, driven.chunks, arms)
    reaction_s = float("nan")
    if driven.move is not None:
        again = _Scene(job, sim, policy, driven.move)
        reaction_s = _reaction_s(job, sim, policy, driven.move, ticks, again.run())
    moved = driven.move is not None
    return SeamEpisode(job, driven.success, driven.seconds, commands, given, fresh, inside, moved, reaction_s)


def _inside(job: SeamJob, chunks: list[ActionChunk], arms: NDArray[np.intp]) -> tuple[NDArray[np.float64], ...]:
    """Of each order, of all chunks."""
    return tuple(
        np.concatenate(
            [np.zeros(0)]
            + [
                inside_chunk(chunk.positions[:, arms], order, chunk.step_dt_s * RATE_HZ, smooth=job.way.smooth)
                for chunk in chunks
            ]
        )
        for order in ORDERS
    )


@dataclass(frozen=True)
class _Move:
    """The goal's object goes to another place at the end of a tick."""

    tick: int
    object: str
    side: str
    by: NDArray[np.float64]


class _Scene:
    """One run of the job's scene. move: None looks for one; ``move`` then is the first that was possible."""

    def __init__(self, job: SeamJob, sim: TabletopSim, policy: Policy, move: _Move | None = None) -> None:
        self.move, self.success, self.seconds = move, False, 0.0
        self._job, self._sim, self._doing = job, sim, move is not None
        sim.reset(job.seed)
        self._success, self._chunks_by_tick = LastingSuccess(_JUDGE_EVERY / RATE_HZ), list[int]()
        self._goal = sim.task.goal
        self._lay = sim.place_of(self._goal.object)
        self._stack = StackInTime(sim, policy, _config(job), job.timing)

    @property
    def chunks(self) -> list[ActionChunk]:
        """Those of the ticks that ``run`` gave."""
        ticks = round(self.seconds * RATE_HZ)
        return self._stack.chunks[: self._chunks_by_tick[ticks - 1]]

    def run(self) -> list[Tick]:
        """To where the limit of time or the success that lasted begins; what is driven while it lasts is not looked at."""
        if self._doing and self.move is not None:
            self._stack.run(round(((self.move.tick + 1) / RATE_HZ + _AFTER_S) * RATE_HZ), self._do_move)
            return self._stack.ticks
        self._stack.run(self._limit + round(SUCCESS_LASTS_S * RATE_HZ) + _JUDGE_EVERY, self._after)
        began = self._success.began
        ticks = self._limit if began is None else began * _JUDGE_EVERY + 1
        self.seconds = ticks / RATE_HZ
        return [tick for tick in self._stack.ticks if tick.number < ticks]

    @property
    def _limit(self) -> int:
        return round(self._job.max_s * RATE_HZ)

    def _do_move(self, tick: int) -> bool:
        if self.move is not None and tick == self.move.tick:
            self._sim.data.joint(self.move.object).qpos[:2] += self.move.by
        return False

    def _after(self, tick: int) -> bool:
        self._chunks_by_tick.append(len(self._stack.chunks))
        if self.move is None and self._success.began is None:
            self.move = self._chance(tick)
        if tick % _JUDGE_EVERY == 0:
            self.success = self._success.see(tick // _JUDGE_EVERY, self._sim.task_state().success)
        return self.success or (tick + 1 >= self._limit and self._success.began is None)

    def _chance(self, tick: int) -> _Move | None:
        """A move when the hand is on its way to the object and has not touched it."""
        sim, name, side = self._sim, self._goal.object, self._goal.side
        if not any(kind.name == name for kind in sim.task.objects):
            return None
        place = sim.place_of(name)
        distance = float(np.linalg.norm(sim.data.site(f"{side}_grasp").xpos - place))
        if not _NEAR_M < distance < _FAR_M or np.linalg.norm(place - self._lay) > _STILL_M:
            return None
        by = _free_direction(sim, name, place)
        return None if by is None else _Move(tick, name, side, by)


def _free_direction(sim: TabletopSim, name: str, place: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Of the four ways along the table the one that ends farthest from everything else, on the same side of the robot."""
    things = [kind.name for kind in sim.task.objects] + [kind.name for kind in sim.task.bins]
    others = [thing for thing in things if thing != name]
    best, best_gap = None, _APART_M
    for by in MOVED_M * np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]):
        end = place[:2] + by
        gap = min((float(np.linalg.norm(sim.place_of(other)[:2] - end)) for other in others), default=1.0)
        if gap > best_gap and end[1] * place[1] > 0:
            best, best_gap = by, gap
    return best


def _reaction_s(
    job: SeamJob, sim: TabletopSim, policy: Policy, move: _Move, left: list[Tick], moved: list[Tick]
) -> float:
    """By the commanded hand, in the runs without and with the move, from the tick after it on."""
    hand = _CommandedHand(sim, policy, move.side)
    window = range(move.tick + 1, move.tick + 1 + round(_AFTER_S * RATE_HZ))
    paths = [np.array([hand.at(tick.command) for tick in ticks if tick.number in window]) for ticks in (moved, left)]
    if min(len(path) for path in paths) == 0:
        return float("nan")
    return turned_after_s(paths[0], paths[1], np.append(move.by, 0.0), job.turn_m, 1 / RATE_HZ)


class _CommandedHand:
    """Where the grasp point of a hand would be if the robot stood as commanded."""

    def __init__(self, sim: TabletopSim, policy: Policy, side: str) -> None:
        self._model, self._site = sim.model, f"{side}_grasp"
        self._data = mujoco.MjData(sim.model)
        self._data.qpos[:] = sim.data.qpos
        self._address = [int(sim.model.joint(name).qposadr[0]) for name in policy.embodiment.policy_joint_names]

    def at(self, command: NDArray[np.float64]) -> NDArray[np.float64]:
        self._data.qpos[self._address] = command
        mujoco.mj_kinematics(self._model, self._data)
        return np.array(self._data.site(self._site).xpos)


def _config(job: SeamJob) -> ControllerConfig:
    longest_s = 0.0 if job.timing.every_tick else 1 / job.timing.head_rate_hz + job.timing.delay_s
    return ControllerConfig(
        head_mode="every_tick" if job.timing.every_tick else "worker",
        warm_up_evaluations=1,
        chunk_mode=job.way.mode,
        interpolation="smooth" if job.way.smooth else "linear",
        compensate_latency=job.way.compensated,
        staggered=job.way.staggered,
        blend_time_s=job.blend_time_s,
        chunk_max_age_s=max(0.25, 2 * longest_s),
        token_hold_s=max(0.3, 0.2 + job.timing.encode_s),
        token_max_age_s=max(0.5, 0.3 + job.timing.encode_s),
    )


def _arms(policy: Policy) -> NDArray[np.intp]:
    """Of the policy's joints those that are no fingers, whose commands are a step by nature."""
    return np.array([i for i, joint in enumerate(policy.embodiment.policy_joints) if "hand" not in joint.group])


_policies: dict[tuple[Path, str], Gr00tPolicy] = {}
_simulators: dict[str, TabletopSim] = {}


def _policy(checkpoint: Path, checkpoint_hash: str) -> Gr00tPolicy:
    key = (checkpoint, checkpoint_hash)
    if key not in _policies:
        _policies.clear()
        _policies[key] = load_policy(checkpoint, staggered=True, checkpoint_hash=checkpoint_hash)
    return _policies[key]


def _simulator(task: str) -> TabletopSim:
    if task not in _simulators:
        for sim in _simulators.values():
            sim.close()
        _simulators.clear()
        _simulators[task] = TabletopSim(task)
    return _simulators[task]
