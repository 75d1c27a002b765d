# SPDX-License-Identifier: Apache-2.0
"""What a bag holds: topics with rates and gaps, sentences, what of the suite's interface is missing, does it fit a robot."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from gr00t_bringup.inspection.bag_content import BagContent, bag_content
from gr00t_bringup.inspection.bag_index import BagIndex, read_index
from gr00t_bringup.inspection.bag_notes import bag_notes, note_facts
from gr00t_bringup.inspection.report import Grid, Problem, Report, few, megabytes
from gr00t_bringup.inspection.robot_differences import shipped_robots
from gr00t_bringup.interface import IMAGE, Topic, camera_topic, topics
from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.errors import DatasetError, Gr00tError
from gr00t_policy.data.bag_clock import recorded_time
from gr00t_policy.data.bag_reading import bag_contents

_GAP_PERIODS, _GAP_S = 5.0, 0.1  # a gap is worth a word when it is longer than both
_SENTENCES_SHOWN = 8
_RATE_SHARE = 0.8  # of the robot's camera rate


@dataclass(frozen=True)
class Stream:
    """One topic's messages. Stamps of receipt, seconds since the bag's first message; gap_at_s: where the largest begins."""

    count: int
    rate_hz: float
    first_s: float
    last_s: float
    gap_s: float
    gap_at_s: float


def bag_report(path: Path, robot: str = "") -> Report:
    """robot: embodiment to compare with, '' = the best that fits. Raises EmbodimentError for an unknown ``robot``."""
    report = Report("bag", str(path))
    robots = {name: load_embodiment(name) for name in ([robot] if robot else shipped_robots())}
    files = sorted(path.glob("*.mcap")) if path.is_dir() else [path]
    try:
        index = read_index(files)
    except Gr00tError as error:
        report.problems.append(Problem("damage", path.name, str(error)))
        report.judge("")
        return report
    damages = _damages(path, index)
    try:
        content = bag_content(files, index.topics)
    except Gr00tError as error:
        damages.append(Problem("damage", path.name, str(error)))
        content = BagContent("", (), (), {})
    start_ns, end_ns = _span(index)
    streams = {name: _stream(stamps, start_ns) for name, stamps in index.stamps_ns.items()}
    fits = {name: bag_differences(index, streams, content, config) for name, config in robots.items()}
    best = min(fits, key=lambda name: (sum(problem.severity == "difference" for problem in fits[name]), name))
    report.problems = [*damages, *_clock(path, index), *fits[best]]
    notes = bag_notes(path, files)
    report.facts = [*_facts(index, content, start_ns, end_ns), *note_facts(notes)]
    report.grids = [_topic_grid(index, streams, content, robots[best])]
    report.data = _data(index, streams, content, start_ns, end_ns) | {"compared_with": best, "notes": notes}
    report.judge(f"robot '{robots[best].name}'")
    return report


def bag_differences(
    index: BagIndex, streams: dict[str, Stream], content: BagContent, robot: Embodiment
) -> list[Problem]:
    """What is missing or otherwise than the suite and the robot expect."""
    found = [*_topic_differences(index, content, robot), *_joint_differences(content, robot)]
    for camera in robot.cameras:
        name = content.absolute(camera_topic(camera.name))
        size = content.image_sizes.get(name)
        if size is not None and size != (camera.width, camera.height):
            detail = f"{size[0]}x{size[1]} in the bag, '{robot.name}' {camera.width}x{camera.height}"
            found.append(Problem("note", f"picture of {camera.name}", detail))
        if name in streams and streams[name].count > 1 and streams[name].rate_hz < _RATE_SHARE * camera.rate_hz:
            detail = f"{streams[name].rate_hz:.1f} Hz in the bag, '{robot.name}' {camera.rate_hz:g} Hz"
            found.append(Problem("note", f"rate of {camera.name}", detail))
    for topic in topics(robot):
        name = content.absolute(topic.name)
        if topic.use == "learning" and topic.name != "language_command" and name in streams:
            found += _gap(name, streams[name])
    return found


def _topic_differences(index: BagIndex, content: BagContent, robot: Embodiment) -> list[Problem]:
    found, unmeasured = [], []
    for topic in topics(robot):
        name = content.absolute(topic.name)
        given = index.topics.get(name)
        if given is not None and given.type_name != topic.type_name:
            detail = f"is {given.type_name}, expected {topic.type_name}"
            found.append(Problem("difference", name, detail))
        elif given is None or not len(index.stamps_ns[name]):
            if topic.use == "measuring":
                unmeasured.append(topic.name)
            elif topic.use == "learning" and not _compressed(index, content, topic):
                nothing = "not recorded" if given is None else "no message"
                found.append(Problem("difference", name, f"{nothing}; needed to learn from this bag"))
    if unmeasured:
        detail = f"{', '.join(unmeasured)}; rates and latencies cannot be computed"
        found.append(Problem("note", "not recorded", detail))
    return found


def _compressed(index: BagIndex, content: BagContent, topic: Topic) -> bool:
    """Whether the pictures are there in compressed form."""
    return topic.type_name == IMAGE and f"{content.absolute(topic.name)}/compressed" in index.topics


def _joint_differences(content: BagContent, robot: Embodiment) -> list[Problem]:
    if not content.joint_names:
        return []
    missing = [name for name in robot.joint_names if name not in content.joint_names]
    driven = [name for name in missing if name in robot.policy_joint_names]
    found = []
    if driven:
        detail = f"without {len(driven)} that '{robot.name}' drives: {few(driven)}"
        found.append(Problem("difference", "joint_states", detail))
    if others := [name for name in missing if name not in driven]:
        found.append(Problem("note", "joint_states", f"without {few(others)}"))
    return found


def _gap(name: str, stream: Stream) -> list[Problem]:
    if stream.count < 3 or stream.gap_s <= max(_GAP_S, _GAP_PERIODS / stream.rate_hz):
        return []
    detail = f"silent for {stream.gap_s:.2f} s at {stream.gap_at_s:.2f} s; usually {stream.rate_hz:.0f} Hz"
    return [Problem("note", name, detail)]


def _clock(path: Path, index: BagIndex) -> list[Problem]:
    """Where the recorder's clock was set, so that the times below do not say how long it took."""
    if not index.complete or not path.is_dir():
        return []
    try:
        return [Problem("note", "clock", step) for step in recorded_time(bag_contents(path)).steps]
    except DatasetError as error:  # the damages say where
        return [Problem("note", "clock", str(error))]


def _damages(path: Path, index: BagIndex) -> list[Problem]:
    found = []
    total = sum(len(stamps) for stamps in index.stamps_ns.values())
    if not index.complete:
        detail = f"the recording was cut off or damaged; {total} messages can be saved: gr00t bag recover BAG"
        found.append(Problem("damage", path.name, detail))
    if path.is_dir():
        listed = _listed_count(path / "metadata.yaml")
        if listed is None:
            detail = f"missing or unreadable; ros2 bag needs it: ros2 bag reindex {path} -s mcap"
            found.append(Problem("damage", "metadata.yaml", detail))
        elif listed != total and index.complete:
            found.append(Problem("damage", "metadata.yaml", f"says {listed} messages, the files hold {total}"))
    return found


def _listed_count(file: Path) -> int | None:
    """Messages as the bag's own page says; None when it does not."""
    try:
        count = yaml.safe_load(file.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]["message_count"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return None
    return count if isinstance(count, int) else None


def _span(index: BagIndex) -> tuple[int, int]:
    filled = [stamps for stamps in index.stamps_ns.values() if len(stamps)]
    return (int(min(s[0] for s in filled)), int(max(s[-1] for s in filled))) if filled else (0, 0)


def _stream(stamps_ns: NDArray[np.int64], start_ns: int) -> Stream:
    if not len(stamps_ns):
        return Stream(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    seconds = (stamps_ns - start_ns) / 1e9
    steps = np.diff(seconds)
    widest = int(np.argmax(steps)) if len(steps) else 0
    lasted_s = float(seconds[-1] - seconds[0])
    return Stream(
        count=len(seconds),
        rate_hz=(len(seconds) - 1) / lasted_s if lasted_s > 0 else 0.0,
        first_s=float(seconds[0]),
        last_s=float(seconds[-1]),
        gap_s=float(steps[widest]) if len(steps) else 0.0,
        gap_at_s=float(seconds[widest]),
    )


def _facts(index: BagIndex, content: BagContent, start_ns: int, end_ns: int) -> list[tuple[str, str]]:
    total = sum(len(stamps) for stamps in index.stamps_ns.values())
    began = datetime.fromtimestamp(start_ns / 1e9, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    said = [f"'{text}' at {(stamp_ns - start_ns) / 1e9:.1f} s" for stamp_ns, text in content.sentences]
    if len(said) > _SENTENCES_SHOWN:
        said = [*said[:_SENTENCES_SHOWN], f"and {len(said) - _SENTENCES_SHOWN} more"]
    facts = [
        ("holds", f"{(end_ns - start_ns) / 1e9:.1f} s from {began}"),
        ("size", f"{total:,} messages of {len(index.topics)} topics, {megabytes(index.size_bytes)}"),
        ("said", ", ".join(said) or "nothing"),
        ("joints", f"{len(content.joint_names)}: {', '.join(content.joint_names)}" if content.joint_names else "none"),
    ]
    return [*facts, ("namespace", content.namespace)] if content.namespace else facts


def _topic_grid(index: BagIndex, streams: dict[str, Stream], content: BagContent, robot: Embodiment) -> Grid:
    """The suite's topics in its own order, then the others by name."""
    ours = [content.absolute(topic.name) for topic in topics(robot)]
    names = [name for name in (*ours, *sorted(set(streams) - set(ours))) if name in streams and streams[name].count]
    rows = []
    for name in names:
        stream = streams[name]
        short = index.topics[name].type_name.replace("/msg/", "/")
        rate = f"{stream.rate_hz:.1f}" if stream.count > 1 else "-"
        gap = f"{stream.gap_s:.3f}" if stream.count > 1 else "-"
        rows.append((name, short, str(stream.count), rate, f"{stream.first_s:.2f}", f"{stream.last_s:.2f}", gap))
    header = ("topic", "type", "messages", "rate [Hz]", "first [s]", "last [s]", "largest gap [s]")
    return Grid("topics, by time of receipt", header, rows)


def _data(
    index: BagIndex, streams: dict[str, Stream], content: BagContent, start_ns: int, end_ns: int
) -> dict[str, Any]:
    return {
        "start_ns": start_ns,
        "duration_s": (end_ns - start_ns) / 1e9,
        "bytes": index.size_bytes,
        "complete": index.complete,
        "namespace": content.namespace,
        "sentences": [{"stamp_ns": stamp_ns, "text": text} for stamp_ns, text in content.sentences],
        "joint_names": list(content.joint_names),
        "image_sizes": {name: list(size) for name, size in content.image_sizes.items()},
        "topics": {
            name: {"type": index.topics[name].type_name, **vars(stream)} for name, stream in sorted(streams.items())
        },
    }
