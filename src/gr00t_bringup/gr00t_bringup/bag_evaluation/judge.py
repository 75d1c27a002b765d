# SPDX-License-Identifier: Apache-2.0
"""All measurements of a policy on some bags, and the same as plain data."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gr00t_bringup.bag_evaluation.aligned import align
from gr00t_bringup.bag_evaluation.hand_timing import hand_events
from gr00t_bringup.bag_evaluation.prediction_errors import prediction_errors
from gr00t_bringup.bag_evaluation.recorded_run import RecordedRun
from gr00t_bringup.bag_evaluation.replay import ReplaySettings, replay
from gr00t_bringup.bag_evaluation.sensitivity import sensitivity
from gr00t_bringup.bag_evaluation.smoothness import chunk_borders, smoothness
from gr00t_bringup.bag_evaluation.time_shift import chunk_shift, executed_shift
from gr00t_bringup.bag_evaluation.token_latency import TokenLatency
from gr00t_bringup.bag_evaluation.training_range import TrainingRange, strangers
from gr00t_bringup.bag_evaluation.unit_checks import unit_faults
from gr00t_bringup.bag_evaluation.verdicts import Findings, Verdict, verdicts
from gr00t_policy.runtime.policy import Policy

# Said instead of the recorded sentence where the bags have but one.
_OTHERS = ("close the drawer", "put the yellow ball into the blue bin")


@dataclass(frozen=True)
class Judgement:
    """Findings, what they mean, and the latency they were made with."""

    findings: Findings
    verdicts: list[Verdict]
    latency: TokenLatency


def judge(
    runs: Sequence[RecordedRun],
    policy: Policy,
    latency: TokenLatency,
    settings: ReplaySettings,
    noisy: Policy | None = None,
    trained: TrainingRange | None = None,
    other_sentence: str = "",
    progress: Callable[[str], object] = lambda _: None,
) -> Judgement:
    """noisy: the same network with its trained noise. trained: joint states of its training data.

    progress: told what is being done. Raises DatasetError.
    """
    replays = []
    for run in runs:
        progress(f"playing {run.name}")
        replays.append(replay(run, policy, latency, settings))
    aligned = [align(run, replayed) for run, replayed in zip(runs, replays, strict=True)]
    progress("asking what if")
    probes = [probe for replayed in replays for probe in replayed.probes]
    asked = sensitivity(policy, probes, other_sentence or another_sentence(runs), noisy, settings.seed)
    progress("comparing")
    findings = Findings(
        runs=runs,
        replays=replays,
        aligned=aligned,
        errors=prediction_errors(aligned),
        chunk_shift=chunk_shift(aligned),
        executed_shift=executed_shift(aligned),
        smoothness=smoothness(aligned),
        borders=chunk_borders(aligned),
        hands=hand_events(aligned),
        units=unit_faults(aligned),
        strangers=strangers(aligned, trained) if trained is not None else (),
        sensitivity=asked,
    )
    return Judgement(findings, verdicts(findings), latency)


def another_sentence(runs: Sequence[RecordedRun]) -> str:
    """One that differs from the first bag's: of another bag, or else one of our own."""
    said = [text for run in runs for text in [run.instruction, *(text for _, text in run.recording.sentences)] if text]
    return next(text for text in (*said, *_OTHERS) if text != said[0])


def as_data(judgement: Judgement) -> dict[str, Any]:
    """For JSON."""
    found = judgement.findings
    return {
        "ok": not any(each.severity == "error" for each in judgement.verdicts),
        "verdicts": [asdict(each) for each in judgement.verdicts],
        "latency": {"origin": judgement.latency.origin, "median_s": judgement.latency.median_s},
        "bags": [_bag_data(found, number) for number in range(len(found.runs))],
        "step_s": found.aligned[0].step_s,
        "errors": found.errors,
        "time_shift": {
            "chunks": _or_none(found.chunk_shift),
            "executed": _or_none(found.executed_shift),
            "groups": _group_shifts(found),
        },
        "smoothness": found.smoothness,
        "chunk_borders": _or_none(found.borders),
        "hands": [asdict(event) for event in found.hands],
        "units": [asdict(fault) for fault in found.units],
        "outside_training": [asdict(each) for each in found.strangers],
        "sensitivity": asdict(found.sensitivity),
    }


def _group_shifts(found: Findings) -> dict[str, Any]:
    """Of the chunks, by joint group."""
    robot = found.aligned[0].robot
    shifts = {}
    for group, part in robot.policy_slices.items():
        columns = np.zeros(len(robot.policy_joints), np.bool_)
        columns[part] = True
        shifts[group] = _or_none(chunk_shift(found.aligned, columns))
    return shifts


def _bag_data(found: Findings, number: int) -> dict[str, Any]:
    run, replayed, aligned = found.runs[number], found.replays[number], found.aligned[number]
    alone = prediction_errors([aligned]).get("all", {})
    return {
        "bag": str(run.recording.bag),
        "seconds": (run.stop_ns - run.start_ns) * 1e-9,
        "sentences": [text for _, text in run.recording.sentences] or [run.instruction],
        "compared_with": run.done.kind,
        "chunks": len(replayed.chunks),
        "commands": len(replayed.commands),
        "held_share": sum(replayed.held.values()) / max(replayed.ticks, 1),
        "held": dict(replayed.held),
        "image_to_tokens_s": float(np.median(replayed.latencies_s)),
        "errors": {name: alone[name]["mae_rad"] for name in ("policy", "hold", "mean") if name in alone},
        "clock_faults": list(run.clock_faults),
    }


def _or_none(value: Any) -> dict[str, Any] | None:
    return None if value is None else asdict(value)
