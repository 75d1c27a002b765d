# SPDX-License-Identifier: Apache-2.0
"""The simulation as a running machine: it advances with the steady clock, takes commands, and can be looked at.

A command acts from the moment at which it comes, never earlier: physics is brought up to that moment first. Joints are read
at the very moment asked for, between two steps of physics by their velocities. Other threads command it, reset it and copy
its state while the physics loop drives it; all of that goes through one lock. Knows no ROS; times come in. The referee looks
as often as in `gr00t eval`, in simulated time: some of them remember what they saw, and must not miss it.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.types import JointCommand
from gr00t_sim.rollout import PERIOD_S
from gr00t_sim.simulation import TabletopSim

Vector = NDArray[np.float64]

_MAX_CATCH_UP_NS = 100_000_000  # after a longer sleep the world was paused, not slow
_FACTOR_WINDOW_NS = 2_000_000_000
_LATEST_NS = 100_000_000  # a command that should have been reached longer ago is history
_SHORTEST_RAMP_S = 0.004
_JUDGED_EVERY_S = PERIOD_S


@dataclass(frozen=True)
class JointReading:
    """Positions [rad] and velocities [rad/s] (32,), model convention."""

    positions: Vector
    velocities: Vector


@dataclass(frozen=True)
class Verdict:
    """What the referee says, with the scene it is about."""

    task: str
    sentence: str
    seed: int
    success: bool
    progress: float
    elapsed_s: float
    detail: str
    real_time_factor: float


class LiveWorld:
    """Owns a ``TabletopSim`` and the lock around it. ``now_ns`` is always the steady clock."""

    def __init__(
        self,
        task: str,
        embodiment: Embodiment,
        seed: int,
        sentence: str,
        command_timeout_s: float,
        looks: str = "none",
    ) -> None:
        self.embodiment = embodiment
        self._looks = looks
        self._sim = TabletopSim(task, embodiment, looks)
        self._lock = threading.Lock()
        self._column = {name: index for index, name in enumerate(embodiment.joint_names)}
        self._command_timeout_ns = round(1e9 * command_timeout_s)
        self._step_ns = round(1e9 * self._sim.timestep_s)
        self._stepped_ns: int | None = None
        self._last_command_ns: int | None = None
        self._progress: deque[tuple[int, int]] = deque()  # (steady time, physics steps so far)
        self._steps = 0
        self._seed = seed
        self._steps_per_look = round(_JUDGED_EVERY_S / self._sim.timestep_s)
        self._ignore_before_ns = 0
        self.refused: Counter[str] = Counter()
        self.accepted = 0
        self.timeouts = 0
        self._sim.reset(seed, sentence or None)
        self._judge_anew()

    @property
    def sim(self) -> TabletopSim:
        """The simulation now running; another one after ``reset`` to another task."""
        return self._sim

    @property
    def sentence(self) -> str:
        return self._sim.sentence

    def resume(self, now_ns: int) -> None:
        """Let time run from ``now_ns`` on."""
        with self._lock:
            self._stepped_ns = now_ns
            self._progress.clear()

    def advance(self, until_ns: int) -> JointReading:
        """Step the physics up to ``until_ns``, which may lie a little ahead of now, and read the joints as they are then."""
        with self._lock:
            assert self._stepped_ns is not None, "resume first"
            if until_ns - self._stepped_ns > _MAX_CATCH_UP_NS:
                self._stepped_ns = until_ns - _MAX_CATCH_UP_NS
            self._watch_commands(until_ns)
            self._step_to(until_ns)
            self._progress.append((until_ns, self._steps))
            while until_ns - self._progress[0][0] > _FACTOR_WINDOW_NS:
                self._progress.popleft()
            velocities = self._sim.joint_velocities()
            since_step_s = (until_ns - self._stepped_ns) / 1e9
            return JointReading(self._sim.joint_positions() + since_step_s * velocities, velocities)

    def command(self, now_ns: int, command: JointCommand, answers_ns: int, stamp_now_ns: int) -> None:
        """Ramp to ``command`` so that it is reached at its stamp. Raises MessageError on what is not a command.

        answers_ns: stamp of the joint state it was computed from, 0 if it came without a stamp and is meant from now
        on; stamp_now_ns: now, by the clock of the stamps. Joints it does not name keep their targets.
        """
        reach_ns = command.stamp_ns if answers_ns else stamp_now_ns + command.stamp_ns
        with self._lock:
            columns = self._check(command, answers_ns, stamp_now_ns - reach_ns)
            if self._stepped_ns is not None and now_ns - self._stepped_ns <= _MAX_CATCH_UP_NS:
                self._step_to(now_ns)
            targets = self._sim.joint_targets()
            targets[columns] = command.positions
            self._sim.set_targets(targets, max((reach_ns - stamp_now_ns) / 1e9, _SHORTEST_RAMP_S))
            self._last_command_ns = now_ns
            self.accepted += 1

    def unreadable(self) -> None:
        """A message could not even be read as a command."""
        self.refused["unreadable"] += 1

    def reset(self, task: str, seed: int, sentence: str, stamp_now: Callable[[], int]) -> str:
        """New scene; '' keeps the task or lets it choose the sentence. Returns the sentence. Raises TaskError.

        Commands that answer a joint state from before are dropped from then on. Another task takes seconds to build.
        """
        sim = self._sim if task in ("", self._sim.task.name) else self._other(task)
        with self._lock:
            said = sim.reset(seed, sentence or None)
            self._sim, self._seed = sim, seed
            self._judge_anew()
            self._ignore_before_ns = stamp_now()
            return said

    def ask(self, sentence: str) -> None:
        """The referee judges by ``sentence`` from now on. Raises TaskError, and judges on as before."""
        with self._lock:
            if sentence != self._sim.sentence:
                self._sim.ask(sentence)
                self._judge_anew()

    def generalised_positions(self) -> Vector:
        """All positions of the model (nq,): robot, linkages, objects. With task, seed and sentence, the whole picture."""
        with self._lock:
            return self._sim.data.qpos.copy()

    def copy_state(self, model: mujoco.MjModel, into: mujoco.MjData) -> bool:
        """The state at this instant, for rendering in another thread; False if ``model`` no longer runs."""
        with self._lock:
            if self._sim.model is not model:
                return False
            mujoco.mj_copyData(into, model, self._sim.data)
            return True

    def verdict(self) -> Verdict:
        """The referee's newest word, at most 50 ms of simulated time old; success stays once it was reached."""
        with self._lock:
            status = self._status
            return Verdict(
                task=self._sim.task.name,
                sentence=status.sentence,
                seed=self._seed,
                success=self._solved,
                progress=1.0 if self._solved else status.progress,
                elapsed_s=self._sim.time_s,
                detail=status.detail,
                real_time_factor=self._real_time_factor(),
            )

    def _other(self, task: str) -> TabletopSim:
        return TabletopSim(task, self.embodiment, self._looks)

    def _step_to(self, until_ns: int) -> None:
        """As many whole steps of physics as fit; none when it is there already."""
        assert self._stepped_ns is not None
        steps = max((until_ns - self._stepped_ns) // self._step_ns, 0)
        self._stepped_ns += steps * self._step_ns
        self._steps += steps
        while steps > 0:
            some = min(steps, self._steps_to_look)
            self._sim.step_physics(some)
            steps -= some
            self._steps_to_look -= some
            if self._steps_to_look == 0:
                self._judge()

    def _judge_anew(self) -> None:
        """Another scene or another wish: nothing of before counts."""
        self._solved = False
        self._judge()

    def _judge(self) -> None:
        self._status = self._sim.task_state()
        self._solved = self._solved or self._status.success
        self._steps_to_look = self._steps_per_look

    def _watch_commands(self, now_ns: int) -> None:
        if self._last_command_ns is not None and now_ns - self._last_command_ns > self._command_timeout_ns:
            self._sim.set_targets(self._sim.joint_targets(), self._sim.timestep_s)
            self._last_command_ns = None
            self.timeouts += 1

    def _check(self, command: JointCommand, answers_ns: int, late_ns: int) -> NDArray[np.intp]:
        unknown = [name for name in command.joint_names if name not in self._column]
        if unknown or len(set(command.joint_names)) != len(command.joint_names):
            raise self._refusal("names", f"joint trajectory: unknown or repeated joint(s) {', '.join(unknown[:4])}")
        if command.positions.shape != (len(command.joint_names),):
            raise self._refusal(
                "size", f"joint trajectory: {len(command.joint_names)} names, {command.positions.size} values"
            )
        if not np.isfinite(command.positions).all():
            raise self._refusal("not_finite", "joint trajectory: a position is not finite")
        if 0 < answers_ns < self._ignore_before_ns:
            raise self._refusal("before_reset", "joint trajectory: computed from a joint state before the reset")
        if late_ns > _LATEST_NS:
            raise self._refusal("late", "joint trajectory: should have been reached more than 0.1 s ago")
        return np.array([self._column[name] for name in command.joint_names], dtype=np.intp)

    def _refusal(self, kind: str, text: str) -> MessageError:
        self.refused[kind] += 1
        return MessageError(text)

    def _real_time_factor(self) -> float:
        if len(self._progress) < 2:
            return 1.0
        (start_ns, start), (end_ns, end) = self._progress[0], self._progress[-1]
        return (end - start) * self._step_ns / (end_ns - start_ns)
