# SPDX-License-Identifier: Apache-2.0
"""The whole trace of one bag: streams, ages, hops, what the controller said of itself, and what could not be computed."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gr00t_bringup.tracing.chain import AGES, HOPS, Chain, Span
from gr00t_bringup.tracing.counted import CountedCommands
from gr00t_bringup.tracing.events import BagStages, ControllerFacts, Stage, find_stages, read_events
from gr00t_bringup.tracing.leads import LeadFigures, read_leads
from gr00t_bringup.tracing.periods import StreamFigures, StreamMeter
from gr00t_policy.core.errors import DatasetError


@dataclass(frozen=True)
class Nominal:
    """Rates the streams should have [Hz], 0 = not known; a gap longer than pause_s is a pause, not a miss."""

    planner_hz: float = 10.0
    control_hz: float = 120.0
    gate_hz: float = 120.0
    camera_hz: float = 0.0
    joint_state_hz: float = 0.0
    pause_s: float = 0.5

    def of(self, stage: Stage) -> float:
        """Of a stage's stream."""
        rates = {
            Stage.IMAGE: self.camera_hz,
            Stage.JOINT_STATE: self.joint_state_hz,
            Stage.TOKENS: self.planner_hz,
            Stage.POLICY: self.control_hz,
            Stage.COMMAND: self.gate_hz,
        }
        return rates.get(stage, 0.0)


@dataclass
class Trace:
    """begin_ns, end_ns: first and last sending. meters: topic -> stream; said: the controller's last words while it ran.
    leads: by node. counted: commands due and missed between the controller's first and last words in the bag.
    """

    bag: BagStages
    begin_ns: int = 0
    end_ns: int = 0
    chain: Chain = field(default_factory=Chain)
    meters: dict[str, StreamMeter] = field(default_factory=dict)
    said: ControllerFacts | None = None
    leads: dict[str, LeadFigures] = field(default_factory=dict)
    counted: CountedCommands = field(default_factory=CountedCommands)

    @property
    def duration_s(self) -> float:
        return (self.end_ns - self.begin_ns) / 1e9

    @property
    def unanswered(self) -> int | None:
        """Commands of the policy after which the gate said nothing for half a second; None where one of both is not recorded."""
        both = self.bag.has(Stage.POLICY) and self.bag.has(Stage.COMMAND)
        return self.chain.unanswered if both else None

    def streams(self) -> dict[str, StreamFigures]:
        return {topic: meter.figures() for topic, meter in self.meters.items()}

    def missing(self) -> dict[str, str]:
        """Key of each figure that could not be computed -> why, in one clause."""
        return {span.key: self._why(span) for span in (*AGES, *HOPS) if not self.chain.spans[span.key].count}

    def as_data(self) -> dict[str, Any]:
        """For JSON; times in milliseconds unless the name says otherwise."""
        spans = {key: asdict(distribution.figures()) for key, distribution in self.chain.spans.items()}
        return {
            "bag": str(self.bag.folder),
            "duration_s": self.duration_s,
            "streams": {topic: asdict(figures) for topic, figures in self.streams().items()},
            "head_rate_hz": self.chain.head_rate_hz,
            "ages_ms": {span.key: spans[span.key] for span in AGES},
            "hops_ms": {span.key: spans[span.key] for span in HOPS},
            "commands_unanswered": self.unanswered,
            "stamps_translated": self.chain.clock.translated,
            "control_ticks": self.counted.ticks,
            "deadline_misses": self.counted.misses,
            "controller_said": self.said.figures if self.said else None,
            "tick_leads": {node: asdict(lead) for node, lead in self.leads.items()},
            "not_computed": self.missing(),
        }

    def _why(self, span: Span) -> str:
        silent = [stage for stage in span.needs if not any(self._count(topic) for topic in self._topics(stage))]
        if not silent:
            return "no message could be tied to the one it was made from; were the stamps set?"
        absent = [stage for stage in silent if not self.bag.has(stage)]
        names = ", ".join(stage.value or "camera/*/image_raw" for stage in absent or silent)
        return f"{names} {'not recorded' if absent else 'without a message'}"

    def _topics(self, stage: Stage) -> list[str]:
        return [topic for topic, each in self.bag.stages.items() if each is stage]

    def _count(self, topic: str) -> int:
        return self.meters[topic].count


def trace_bag(folder: Path, nominal: Nominal, namespace: str | None = None) -> Trace:
    """Read a bag, in memory that does not grow with it. Raises DatasetError."""
    bag = find_stages(folder, namespace)
    meters = {topic: _meter(stage, nominal) for topic, stage in bag.stages.items()}
    trace = Trace(bag, meters=meters, leads=read_leads(folder))
    for event in read_events(bag):
        if trace.begin_ns == 0:
            trace.begin_ns = event.sent_ns
        trace.end_ns = max(trace.end_ns, event.sent_ns)
        trace.meters[event.topic].add(event.sent_ns, event.number, trace.begin_ns)
        if isinstance(event.content, ControllerFacts):
            _listen(trace, event.content)
        else:
            trace.chain.add(event)
    if not any(meter.count for meter in trace.meters.values()):
        raise DatasetError(f"bag {folder} holds no message of the suite; was anything running while it was recorded?")
    return trace


def _meter(stage: Stage, nominal: Nominal) -> StreamMeter:
    pause_s = math.inf if stage is Stage.CONTROLLER else nominal.pause_s  # it speaks on change and now and then
    return StreamMeter(nominal.of(stage), pause_s)


def _listen(trace: Trace, said: ControllerFacts) -> None:
    trace.counted.add(said.ticks, said.deadline_misses)
    if said.running:
        trace.said = said
