# SPDX-License-Identifier: Apache-2.0
"""What the figures mean, as plain sentences: errors (the policy must not drive), warnings (look), notes, or that it looks right.

The limits are our own choice, made so that the shipped policy on a recording of itself gets no error and no warning.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gr00t_bringup.bag_evaluation.aligned import MOVED_RAD, Aligned, moving_joints
from gr00t_bringup.bag_evaluation.hand_timing import HandEvent
from gr00t_bringup.bag_evaluation.recorded_run import COMMANDS, RecordedRun
from gr00t_bringup.bag_evaluation.replay import Replay
from gr00t_bringup.bag_evaluation.sensitivity import (
    BLACK,
    EMPTY,
    OTHER_PICTURE,
    OTHER_SENTENCE,
    OTHER_STATE,
    Sensitivity,
)
from gr00t_bringup.bag_evaluation.smoothness import JUMPS, Borders
from gr00t_bringup.bag_evaluation.time_shift import TimeShift
from gr00t_bringup.bag_evaluation.training_range import Stranger
from gr00t_bringup.bag_evaluation.unit_checks import IN_DEGREES, UnitFault

ERROR, WARNING, NOTE, GOOD = "error", "warning", "note", "good"
_HOLD_SHARE = 0.95  # of the error of holding still
_POOR_RAD = 0.03  # a group that is off by less than that is not poor, however little it was moved
_IGNORED = 0.05  # of the policy's own motion: a change that small is none
_LATE_S, _EARLY_S = 0.06, 0.12  # the gate's limits delay what the policy commanded, so a policy leads its own recording
_EXPLAINED = 0.6  # a shift counts when it takes away 40 % of what is unlike
_LEAST_MATCH = 0.8
_HAND_S = 0.15  # three rows of a dataset at 20 Hz
_JUMP_RAD = 0.06
_ROUGH = 2.5  # times the recorded acceleration; jerk says too much of the straight lines between steps
_HELD = 0.05
_STRAY_RAD = 0.1


@dataclass(frozen=True)
class Verdict:
    """code: for programs, the same for the same finding. evidence: the numbers behind it."""

    severity: str
    code: str
    sentence: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """All that was measured of some bags."""

    runs: Sequence[RecordedRun]
    replays: Sequence[Replay]
    aligned: Sequence[Aligned]
    errors: dict[str, Any]
    chunk_shift: TimeShift | None
    executed_shift: TimeShift | None
    smoothness: dict[str, Any]
    borders: Borders | None
    hands: Sequence[HandEvent]
    units: Sequence[UnitFault]
    strangers: Sequence[Stranger]
    sensitivity: Sensitivity


def verdicts(found: Findings) -> list[Verdict]:
    """Worst first; 'looks right' stands alone with the notes."""
    if any(
        fault.kind == IN_DEGREES for fault in found.units
    ):  # nothing that was asked of the policy then means anything
        listed = [*_units(found), *_times(found)]
    else:
        listed = [
            *_units(found),
            *_strangers(found.strangers),
            *_still(found),
            *_camera(found),
            *_attention(found.sensitivity),
            *_shift(found),
            *_hands(found.hands),
            *_motion(found),
            *_times(found),
        ]
    if not any(each.severity in (ERROR, WARNING) for each in listed):
        listed.append(Verdict(GOOD, "looks_right", f"looks right: {_in_short(found)}"))
    order = (ERROR, WARNING, GOOD, NOTE)
    return sorted(listed, key=lambda each: order.index(each.severity))


def _in_short(found: Findings) -> str:
    entry = found.errors.get("all", {})
    if "policy" not in entry:
        return "nothing was moved, and the policy moves nothing"
    ratio = entry["hold"]["mae_rad"] / max(entry["policy"]["mae_rad"], 1e-9)
    return f"{entry['policy']['mae_rad']:.3f} rad from what was done on average, {ratio:.1f} times closer than holding still"


def _units(found: Findings) -> Iterator[Verdict]:
    for fault in found.units:
        left = f" ({fault.better:.0%} of the error is left)" if np.isfinite(fault.better) else ""
        sentence = f"units or order look wrong: {fault.detail}{left}"
        yield Verdict(ERROR, "units_or_order", sentence, {"kind": fault.kind, "error_left": fault.better})


def _strangers(found: Sequence[Stranger]) -> Iterator[Verdict]:
    if not found:
        return
    told = [f"{each.joint} ({each.share:.0%} of the time, by up to {each.beyond_rad:.2f} rad)" for each in found]
    sentence = (
        f"joint states are outside of what the checkpoint was trained on: {_listed(told)}: another task or starting pose, or "
        "other signs, names or zero positions"
    )
    yield Verdict(WARNING, "outside_training", sentence, {"joints": [vars(each) for each in found]})


def _camera(found: Findings) -> Iterator[Verdict]:
    asked, moments = found.sensitivity, sum(len(replayed.probes) for replayed in found.replays)
    if asked.black:
        sentence = f"the camera shows nothing: recorded pictures are black at {asked.black} of {moments} moments"
        yield Verdict(ERROR, "camera_black", sentence, {"black": asked.black, "moments": moments})
    elif asked.frozen:
        yield Verdict(ERROR, "camera_frozen", f"the camera is frozen: the same picture at all {moments} moments")


def _still(found: Findings) -> Iterator[Verdict]:
    entry = found.errors.get("all", {})
    if "policy" not in entry:
        if found.errors:
            sentence = f"no joint was moved by {MOVED_RAD:g} rad: these bags say nothing about the policy"
            yield Verdict(WARNING, "nothing_moves", sentence)
        else:
            yield Verdict(WARNING, "nothing_known", "no chunk covers a moment at which something is known to be done")
        return
    policy, hold = entry["policy"]["mae_rad"], entry["hold"]["mae_rad"]
    if policy >= _HOLD_SHARE * hold:
        sentence = (
            f"no better than holding still: {policy:.3f} rad from what was done, staying in place is {hold:.3f} rad off"
        )
        yield Verdict(ERROR, "no_better_than_hold", sentence, {"policy_rad": policy, "hold_rad": hold})
        return
    poor = {
        group: (each["policy"]["mae_rad"], each["hold"]["mae_rad"])
        for group, each in found.errors.items()
        if group != "all" and "policy" in each and each["policy"]["mae_rad"] >= max(each["hold"]["mae_rad"], _POOR_RAD)
    }
    for group, (off, still) in poor.items():
        sentence = f"{group} is no better than holding still: {off:.3f} rad from what was done, staying in place {still:.3f} rad"
        yield Verdict(
            WARNING, "group_no_better_than_hold", sentence, {"group": group, "policy_rad": off, "hold_rad": still}
        )


def _attention(asked: Sensitivity) -> Iterator[Verdict]:
    kinds = (
        ("image", (BLACK, OTHER_PICTURE), ERROR, "another or a black picture changes"),
        ("sentence", (EMPTY, OTHER_SENTENCE), WARNING, f"an empty sentence or “{asked.other_sentence}” changes"),
        ("joint state", (OTHER_STATE,), WARNING, "the joint state of another moment changes"),
    )
    for what, names, severity, text in kinds:
        effects = [asked.effects[name] for name in names if asked.effects[name].moments]
        shares = [effect.share for effect in effects if np.isfinite(effect.share)]
        if not shares:
            continue
        share, code = max(shares), f"ignores_{what.replace(' ', '_')}"
        evidence = {"share_of_motion": share, "seeds_share": asked.noise.share if asked.noise else None}
        if share < _IGNORED:
            sentence = f"policy ignores the {what}: {text} its chunks by {share:.1%} of their motion"
            yield Verdict(severity, code, sentence, evidence)
        elif asked.noise is not None and share < asked.noise.share and what != "joint state":
            sentence = (
                f"the {what} matters less than chance: {text} chunks by {share:.0%} of their motion, another seed of the "
                f"noise by {asked.noise.share:.0%}"
            )
            yield Verdict(WARNING, f"{what}_below_noise", sentence, evidence)


def _shift(found: Findings) -> Iterator[Verdict]:
    shift = found.chunk_shift
    if shift is None or shift.match < _LEAST_MATCH or (1 - shift.match) > _EXPLAINED * (1 - shift.match_unshifted):
        return
    commanded = all(run.done.kind == COMMANDS for run in found.runs)
    evidence = {"late_ms": 1e3 * shift.late_s, "match": shift.match, "match_unshifted": shift.match_unshifted}
    if shift.late_s > _LATE_S:
        sentence = f"lag {1e3 * shift.late_s:.0f} ms: actions follow the recorded ones late"
        yield Verdict(WARNING, "lag", sentence, evidence)
    elif shift.late_s < -(_EARLY_S if commanded else _LATE_S):
        ahead = f"actions come {-1e3 * shift.late_s:.0f} ms before the recorded ones"
        if commanded:
            yield Verdict(WARNING, "lead", f"{ahead}: were its training data shifted?", evidence)
        else:
            yield Verdict(NOTE, "lead", f"{ahead}: as it must be, the bags have positions and no commands", evidence)


def _hands(events: Sequence[HandEvent]) -> Iterator[Verdict]:
    by_kind = defaultdict(list)
    for event in events:
        by_kind[event.group, event.closes].append(event.early_s)
    for (group, closes), early_s in by_kind.items():
        verb, times = ("closes" if closes else "opens"), np.array(early_s)
        missed = int(np.isnan(times).sum())
        evidence = {"group": group, "times": len(times), "missed": missed}
        if missed > len(times) / 2:
            sentence = f"{group} does not {verb.removesuffix('s')} where it did in the recording ({missed} of {len(times)} times)"
            yield Verdict(WARNING, f"hand_{verb.removesuffix('s')}_missing", sentence, evidence)
            continue
        median_s = float(np.nanmedian(times))
        if abs(median_s) > _HAND_S:
            sentence = f"{group} {verb} {1e3 * abs(median_s):.0f} ms {'early' if median_s > 0 else 'late'}"
            yield Verdict(WARNING, f"hand_{verb}", sentence, {**evidence, "early_ms": 1e3 * median_s})


def _motion(found: Findings) -> Iterator[Verdict]:
    borders = found.borders
    if borders is not None and borders.p95_rad > max(_JUMP_RAD, JUMPS * borders.usual_rad):
        sentence = (
            f"chunk borders jump: {borders.joint} by {borders.p95_rad:.2f} rad (95th percentile) where a step of the recording "
            f"moves it {borders.usual_rad:.2f} rad; worst is {borders.largest_rad:.2f} rad at {borders.worst_s:.1f} s"
        )
        yield Verdict(WARNING, "borders_jump", sentence, vars(borders))
    rough = found.smoothness["acceleration_rad_s2"]["ratio"]
    if rough > _ROUGH:
        sentence = f"executed motion is rough: {rough:.1f} times the acceleration of the recorded one"
        yield Verdict(WARNING, "rough", sentence, {"acceleration_ratio": rough})
    yield from _unmoved(found)


def _unmoved(found: Findings) -> Iterator[Verdict]:
    names = found.aligned[0].robot.policy_joint_names
    still = np.flatnonzero(~moving_joints(found.aligned))
    known = np.concatenate([bag.known for bag in found.aligned])
    off = np.concatenate([np.abs(bag.predicted - bag.done) for bag in found.aligned])[known]
    if not len(still) or len(still) == len(names):
        return
    away = [joint for joint in still if len(off) and off[:, joint].mean() > _STRAY_RAD]
    if away:
        told = [f"{names[joint]} (by {off[:, joint].mean():.2f} rad)" for joint in away]
        sentence = f"joints that the recording keeps still are moved: {_listed(told)}"
        yield Verdict(WARNING, "moves_still_joints", sentence, {"joints": [names[joint] for joint in away]})
    listed = [names[joint] for joint in still]
    sentence = (
        f"joints that never move in these bags (less than {MOVED_RAD:g} rad) and are not judged: {_listed(listed)}"
    )
    yield Verdict(NOTE, "never_move", sentence, {"joints": listed})


def _times(found: Findings) -> Iterator[Verdict]:
    for run, replayed in zip(found.runs, found.replays, strict=True):
        share = sum(replayed.held.values()) / max(replayed.ticks, 1)
        if share > _HELD:
            why = replayed.held.most_common(1)[0][0]
            sentence = f"{run.name}: the robot would have been held {share:.0%} of the time: {why}"
            yield Verdict(WARNING, "held", sentence, {"bag": run.name, "share": share, "causes": dict(replayed.held)})
        for fault in run.clock_faults:
            yield Verdict(WARNING, "clock", f"{run.name}: {fault}", {"bag": run.name})


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
