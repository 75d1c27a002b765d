# SPDX-License-Identifier: Apache-2.0
"""The command gate: believes one source at a time, limits what it asks for, and keeps the robot still otherwise.

One object, one owner: its methods must not run at the same time (the node holds a lock). Time comes in as ``now_ns``
of the receiver's steady clock. The gate starts from the measured pose and gives one command per tick as long as it
knows where the robot is.
"""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.core.types import JointCommand
from gr00t_safety.checks import Refusal, RefusalKind, check_jump
from gr00t_safety.config import SOURCES, GateConfig
from gr00t_safety.following import Following
from gr00t_safety.ladder import Event, Ladder, State
from gr00t_safety.limits import limiter_for
from gr00t_safety.report import GateReport
from gr00t_safety.staleness import Freshness
from gr00t_safety.streams import CommandStream, MeasuredPose

Vector = NDArray[np.float64]

_STALL_TICKS = 3  # a tick later than this many periods: the gate itself slept, so ages say nothing yet
_REACHED_RAD = 1e-6


class Gate:
    """Decides who drives and what the robot gets. States: see ``ladder``; promise on motion: see ``limits``."""

    def __init__(self, embodiment: Embodiment, config: GateConfig) -> None:
        self.embodiment = embodiment
        self.config = config
        self.tick_ns = round(1e9 / config.tick_rate_hz)
        self._limiter = limiter_for(
            embodiment,
            1 / config.tick_rate_hz,
            config.velocity_scale,
            config.acceleration_scale,
            config.position_margin_rad,
        )
        # As a time, since a plan runs ahead of a robot that is still held by what each joint travels meanwhile.
        self._max_start_rad = config.max_start_s * np.array([j.max_velocity_rad_s for j in embodiment.joints])
        self._measured = MeasuredPose(embodiment, config)
        self._following = Following(embodiment, float("inf") if config.dry_run else config.max_away_rad)
        self._streams = {source: CommandStream(source, embodiment, config) for source in SOURCES}
        self._ladder = Ladder()
        self._source = config.default_source
        self._released = config.auto_resume
        self._speed_scale = config.speed_scale
        self._base = embodiment.positions_by_name(embodiment.home)
        self._align_to: Vector | None = None
        self._gentle_until_ns = 0
        self._last_tick_ns: int | None = None
        self._forgave_stall = False
        self._driven = False  # since activation
        self._ending = False  # a deactivation waits for rest
        self._limited = 0
        self._waiting_for = ""
        self._far_joint = ""  # whose distance is what is waited for

    @property
    def state(self) -> State:
        return self._ladder.state

    @property
    def source(self) -> str:
        return self._source

    @property
    def reason(self) -> str:
        """Why the gate is in its state; '' while a healthy source drives."""
        waiting = f"; {self._waiting_for}" if self._ladder.state is State.HOLD and self._waiting_for else ""
        return self._ladder.reason + waiting

    @property
    def gist(self) -> tuple[State, str, str]:
        """State and reason but for a distance that goes on changing: what is worth telling when it is another."""
        waiting = (self._far_joint or self._waiting_for) if self._ladder.state is State.HOLD else ""
        return self._ladder.state, self._ladder.reason, waiting

    @property
    def answers_ns(self) -> int:
        """Stamp of the newest joint state: what a command to the robot answers."""
        return self._measured.stamp_ns

    def activate(self) -> None:
        """Begin to hold the robot where it is measured from now on; motion follows when all streams are healthy."""
        self._limiter.forget()
        self._measured.forget()
        self._align_to = None
        self._last_tick_ns = None
        self._driven = self._ending = False
        self._limited = 0
        for stream in self._streams.values():
            stream.forget()
            stream.clear_counters()
        self._ladder.apply(Event.ACTIVATE, "activated")
        self._check_publishers()

    @property
    def is_still(self) -> bool:
        """Whether what the robot was last given is where it may stay."""
        return not self._limiter.seeded or self._limiter.at_rest

    def bring_to_rest(self) -> None:
        """Before ``deactivate``: the ticks from now on brake and then hold, whatever comes or does not come any more."""
        self._ending = True
        self._interrupt("being deactivated")

    def deactivate(self) -> None:
        """Stop giving commands. A stop or fault that waits for a reset goes on waiting."""
        self._ladder.apply(Event.DEACTIVATE, "deactivated")
        self._limiter.forget()
        self._released = self.config.auto_resume

    def select(self, source: str) -> None:
        """Let ``source`` drive, or nobody (''). The robot comes to rest in between. Raises ConfigError."""
        if source not in ("", *SOURCES):
            raise ConfigError(f"command source '{source}' is unknown; known: {', '.join(SOURCES)}, or '' for nobody")
        if source != self._source:
            self._source = source
            if source:
                self._streams[source].forget()
            self._interrupt(f"command source '{source}' was selected" if source else "no command source is selected")
            self._check_publishers()
        self._released = True

    def stop(self, reason: str = "stop was requested") -> None:
        """Come to rest and stay there until ``reset``: as ``JointLimiter.brake`` does, in line where that takes 0.2 s at most."""
        self._align_to = None
        self._ladder.apply(Event.STOP, reason)

    def reset(self, now_ns: int) -> tuple[bool, str]:
        """Release a stop or fault; refused with the reason while its cause lasts. Never starts motion by itself.

        The held pose becomes the measured one. Motion resumes as after activation: healthy streams, gentle limits.
        """
        if self._ladder.latch is None:
            return True, "nothing waits for a reset"
        if self._ladder.state is not State.INACTIVE:
            cause = self._present_cause(now_ns)
            if cause:
                return False, f"cannot reset: {cause}"
        self._ladder.apply(Event.RESET, "reset")
        self._align_to = None if self._measured.positions is None else self._measured.positions.copy()
        self._released = self.config.auto_resume
        for stream in self._streams.values():
            stream.forget()
        return True, "reset"

    def set_speed_scale(self, scale: float) -> None:
        """Lower the speed; raising it needs an inactive gate. Raises ConfigError."""
        if not 0 < scale <= 1:
            raise ConfigError(f"speed_scale must lie in (0, 1], got {scale}")
        if scale > self._speed_scale and self._ladder.state is not State.INACTIVE:
            raise ConfigError(
                f"speed_scale can only be lowered while active: {self._speed_scale} now, {scale} asked for"
            )
        self._speed_scale = scale

    def publishers(self, source: str, count: int) -> None:
        """``count`` publishers are connected to the command topic of ``source``."""
        self._streams[source].publishers = count
        self._check_publishers()

    def joint_state(self, now_ns: int, names: tuple[str, ...], positions: Vector, stamp_ns: int) -> Refusal | None:
        """Take in a measured pose; returns why it is not believed, if so."""
        refusal = self._measured.offer(now_ns, names, positions, stamp_ns)
        if refusal is not None and refusal.kind is RefusalKind.JUMP:
            self._pose_leapt(refusal)
        return refusal

    def command(self, now_ns: int, source: str, command: JointCommand, answers_ns: int) -> Refusal | None:
        """Take in a command of ``source``; returns why it is not used, if so.

        answers_ns: stamp of the joint state it was computed from.
        """
        stream = self._streams[source]
        if not self._drives(source):
            return stream.refuse(now_ns, Refusal(RefusalKind.WRONG_SOURCE, f"'{source}' does not drive"))
        if self._measured.positions is None:
            return stream.refuse(now_ns, Refusal(RefusalKind.NOT_READY, "no joint state yet"))
        refusal = stream.offer(now_ns, command, answers_ns, self._measured.stamp_ns, self._base)
        if refusal is not None and refusal.kind.broken_source:
            self._distrust(source, refusal)
        return refusal

    def unreadable(self, now_ns: int, source: str, text: str) -> Refusal:
        """A message of ``source`` could not even be read as a command, for the reason in ``text``."""
        kind = RefusalKind.UNREADABLE if self._drives(source) else RefusalKind.WRONG_SOURCE
        refusal = self._streams[source].refuse(now_ns, Refusal(kind, text))
        if kind.broken_source:
            self._distrust(source, refusal)
        return refusal

    def unreadable_state(self, now_ns: int, text: str) -> Refusal:
        """A message could not even be read as a joint state, for the reason in ``text``."""
        return self._measured.refuse(now_ns, Refusal(RefusalKind.UNREADABLE, text))

    def tick(self, now_ns: int) -> JointCommand | None:
        """The next command for all driven joints, or None while nothing must be given to the robot.

        It is to be reached one tick from now, by the clock that stamps the joint states.
        """
        if self._ladder.state is State.INACTIVE:
            return None
        if not self._stalled(now_ns) and not self._ending:
            self._judge(now_ns)
        if not self._limiter.seeded:
            if self._ladder.state is State.DAMPED or self._measured.age.freshness(now_ns) >= Freshness.STALE:
                return None
            assert self._measured.positions is not None
            self._limiter.seed(self._measured.positions)
            self._align_to = None
        positions = self._move(now_ns)
        if self._ladder.state is State.DAMPED and self._limiter.at_rest:
            self._limiter.forget()  # from here on the drives' own damping rules
        reach_ns = self._measured.stamp_ns + round(1e9 * self._measured.age.age_s(now_ns)) + self.tick_ns
        return JointCommand(reach_ns, self.embodiment.joint_names, positions)

    def report(self, now_ns: int) -> GateReport:
        stream = self._streams.get(self._source)
        refused = Counter({f"joint_state.{kind.value}": count for kind, count in self._measured.refused.items()})
        for each in self._streams.values():
            refused.update(each.refused_by_name)
        return GateReport(
            state=self._ladder.state,
            reason=self.reason,
            source=self._source,
            command_age_s=stream.age.age_s(now_ns) if stream else float("inf"),
            joint_state_age_s=self._measured.age.age_s(now_ns),
            speed_scale=self._scale(now_ns),
            accepted=sum(each.accepted for each in self._streams.values()),
            rejected=sum(sum(each.refused.values()) for each in self._streams.values()),
            limited=self._limited,
            late=self._late_streams(now_ns),
            joint_state_fault=self._measured.fault(now_ns),
            refused=dict(refused),
        )

    def _drives(self, source: str) -> bool:
        return self._ladder.state is not State.INACTIVE and source == self._source

    def _distrust(self, source: str, refusal: Refusal) -> None:
        self._align_to = None
        self._ladder.apply(Event.FAULT, f"'{source}' is not to be trusted: {refusal.text}")

    def _move(self, now_ns: int) -> Vector:
        if self._ladder.state is State.ACTIVE:
            target = self._streams[self._source].line.sample(now_ns)
            if target is None:
                return self._limiter.brake()
            scale = self._scale(now_ns)
            positions = self._limiter.follow(target, scale, self._gentleness(now_ns))
            self._limited += bool(np.abs(positions - target).max() > _REACHED_RAD)
            return positions
        if self._align_to is not None and self._ladder.state in (State.HOLD, State.STOPPED):
            scale = self.config.transition_scale
            positions = self._limiter.follow(self._align_to, min(scale, self._speed_scale), scale)
        else:
            positions = self._limiter.brake()
        self._base = positions
        return positions

    def _judge(self, now_ns: int) -> None:
        """Let the ages of the streams move the ladder."""
        state_freshness = self._measured.age.freshness(now_ns)
        if self._measured.age.ever and state_freshness is Freshness.LOST:
            self._lose_pose(now_ns)
            return
        if state_freshness < Freshness.STALE and self._limiter.seeded:
            self._stay_with_the_robot(now_ns)
        if self._ladder.state is State.ACTIVE:
            stream = self._streams[self._source]
            if state_freshness is Freshness.STALE:
                self._interrupt(self._measured.why_missing(now_ns, self._measured.age.limits.stale_s))
            elif stream.age.freshness(now_ns) >= Freshness.STALE:
                # A clutch that opens ends the stream, and to close it again is what a person does.
                is_clutch = stream.source == "teleop" and not stream.is_refused(now_ns)
                self._interrupt(stream.why_missing(now_ns), goes_on=is_clutch)
        elif self._ladder.state is State.HOLD and self._ladder.latch is None:
            self._waiting_for = self._obstacle(now_ns)
            if not self._waiting_for:
                self._align_to = None
                self._gentle_until_ns = now_ns + round(1e9 * self.config.transition_s)
                self._driven = True
                self._ladder.apply(Event.RESUME)

    def _stay_with_the_robot(self, now_ns: int) -> None:
        """One that does not follow is held where it is found: it would leap to its command when its drives are on again."""
        measured = self._measured.positions
        assert measured is not None
        if away := self._following.watch(now_ns, measured, self._limiter.positions):
            self._interrupt(away)
            self._released = self.config.auto_resume
        if self._following.lost:
            self._align_to = self._following.where_found(measured, self._limiter.positions)

    def _lose_pose(self, now_ns: int) -> None:
        """Damp, and wait for a person; but a robot that was never driven is only kept, so its pose may come again."""
        reason = self._measured.why_missing(now_ns, self._measured.age.limits.lost_s)
        if self._driven:
            self._ladder.apply(Event.LOSE, reason)
            return
        self._interrupt(reason)
        self._measured.forget()
        self._limiter.forget()

    def _obstacle(self, now_ns: int) -> str:
        """Why motion cannot begin yet; '' if it can."""
        self._far_joint = ""
        if not self._source:
            return "waiting for a source to be selected"
        if not self._released:
            return "waiting for a person to select the source"
        if self._following.lost:
            return f"waiting until '{self._following.lost}' is where it is told to be"
        stream = self._streams[self._source]
        if self._measured.age.steady_s(now_ns) < self.config.healthy_s:
            fault = self._measured.standing_fault(now_ns)
            return f"waiting for joint states{f': {fault}' if fault else ''}"
        if stream.age.steady_s(now_ns) < self.config.healthy_s:
            return f"waiting for commands from '{self._source}'"
        if not self._limiter.seeded or not self._limiter.at_rest:
            return "coming to rest"
        newest = stream.line.newest
        assert newest is not None
        names, held = self.embodiment.joint_names, self._limiter.positions
        far = check_jump(names, newest, held, self._max_start_rad, "the command is far from the held pose")
        self._far_joint = "" if far is None else far.joint
        return "" if far is None else far.text

    def _present_cause(self, now_ns: int) -> str:
        """What still stands against a reset; '' if nothing."""
        if self._measured.age.freshness(now_ns) >= Freshness.STALE:
            fault = self._measured.fault(now_ns)
            return f"joint states are missing{f': {fault}' if fault else ''}"
        if self._limiter.seeded and not self._limiter.at_rest:
            return "the robot is still coming to rest"
        return self._streams[self._source].present_cause(now_ns) if self._source else ""

    def _check_publishers(self) -> None:
        stream = self._streams.get(self._source)
        if self._ladder.state is not State.INACTIVE and stream is not None and stream.publishers > 1:
            self._ladder.apply(Event.FAULT, f"{stream.publishers} publishers command as '{self._source}'; only one may")

    def _pose_leapt(self, leap: Refusal) -> None:
        """A simulation was reset under the gate: take the new pose over. On a robot this is a fault of the sensors."""
        if self.config.profile == "hardware":
            self._ladder.apply(Event.FAULT, leap.text)
            return
        self._interrupt(leap.text)
        if self._limiter.seeded and self._measured.positions is not None:
            self._limiter.seed(self._measured.positions)
            self._base = self._measured.positions.copy()
        for stream in self._streams.values():
            stream.forget()

    def _interrupt(self, reason: str, *, goes_on: bool = False) -> None:
        """Hold. goes_on: motion may come back without a person who selects the source, even where it otherwise may not."""
        self._align_to = None
        if self._ladder.state is State.ACTIVE and not goes_on:
            self._released = self.config.auto_resume
        self._ladder.apply(Event.INTERRUPT, reason)

    def _stalled(self, now_ns: int) -> bool:
        """True when this tick comes so late that messages may be waiting unread; never twice in a row."""
        slept_ns = 0 if self._last_tick_ns is None else now_ns - self._last_tick_ns
        self._last_tick_ns = now_ns
        if slept_ns >= 1e9 * self._measured.age.limits.lost_s:
            self._begin_anew(slept_ns)
        self._forgave_stall = slept_ns > _STALL_TICKS * self.tick_ns and not self._forgave_stall
        return self._forgave_stall

    def _begin_anew(self, slept_ns: int) -> None:
        """The gate did not run for so long that nobody knows what the robot did: hold it where it will be found."""
        self._interrupt(f"the gate itself stood still for {slept_ns / 1e9:.2g} s")
        self._limiter.forget()
        self._measured.forget()
        for stream in self._streams.values():
            stream.forget()

    def _gentleness(self, now_ns: int) -> float:
        return self.config.transition_scale if now_ns < self._gentle_until_ns else 1.0

    def _scale(self, now_ns: int) -> float:
        return self._speed_scale * self._gentleness(now_ns)

    def _late_streams(self, now_ns: int) -> tuple[str, ...]:
        late = ["joint_states"] if self._measured.age.freshness(now_ns) >= Freshness.LATE else []
        stream = self._streams.get(self._source)
        if stream is not None and stream.age.freshness(now_ns) >= Freshness.LATE:
            late.append(stream.source)
        return tuple(late)
