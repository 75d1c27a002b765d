# SPDX-License-Identifier: Apache-2.0
"""Bags of episodes -> one LeRobot v2 dataset, bag by bag; goes on after a kill, and adds only what is new.

Every episode's line in episodes.jsonl says which part of which bag it is; that is the only record of what was done, so
that it cannot disagree with the data. How old each row's values were lies beside the dataset's own files, in ``timing/``.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import ConfigError, DatasetError, Gr00tError
from gr00t_policy.core.instruction import instruction_fault
from gr00t_policy.data import convert_driver
from gr00t_policy.data.action_lag import action_lag
from gr00t_policy.data.bag_clock import RecordedTime, recorded_time
from gr00t_policy.data.bag_identity import known_identities
from gr00t_policy.data.bag_reading import bag_contents
from gr00t_policy.data.convert_episodes import Cutting, Piece, cut
from gr00t_policy.data.convert_recording import Recording, read_recording
from gr00t_policy.data.convert_rows import Rows, resample, stream_limits, uncovered
from gr00t_policy.data.convert_scene import SceneHistory
from gr00t_policy.data.convert_source import EpisodeNotes, TopicNames, episode_notes
from gr00t_policy.data.convert_timing import NS, StreamTiming, audit, faults
from gr00t_policy.data.durable import write_json, written_aside
from gr00t_policy.data.layout import DATA_PATH, Layout, make_info
from gr00t_policy.data.meta import read_lines, read_object
from gr00t_policy.data.streams import StreamLimits
from gr00t_policy.data.video import VideoEncoding
from gr00t_policy.data.writer import LeRobotWriter, require_same_format

# Any frame is reached by decoding two, and 1.7 times as fast as with `veryfast`: training reads at random. Files are half
# as large again at the same quality, and encoding takes 40 % of the time.
_ENCODING = VideoEncoding(preset="ultrafast", keyframe_interval=2)
_MAX_LAG_S = 0.5
_FOLDER_OF_AGES = "timing"


@dataclass(frozen=True)
class Conversion:
    """How bags become episodes; the same for all of one dataset.

    instruction: for bags that say none themselves. state_hz: rate that joint states must have, 0 = any steady one.
    all_outcomes: failed and discarded episodes too.
    """

    robot: Embodiment
    fps: float = 20.0
    topics: TopicNames = field(default_factory=TopicNames)
    cutting: Cutting = field(default_factory=Cutting)
    instruction: str = ""
    state_hz: float = 0.0
    all_outcomes: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= 1000 or self.state_hz < 0:
            raise ConfigError(f"fps must be 1 to 1000 and state_hz not negative, got {self.fps} and {self.state_hz}")

    def settings(self) -> dict[str, Any]:
        """What the rows depend on; kept with the dataset."""
        names = asdict(self.topics) | {"cameras": dict(self.topics.cameras or {})}
        return {"robot": self.robot.name, "fps": self.fps, "topics": names, "cutting": asdict(self.cutting)}


Outcome = Literal["converted", "known", "skipped", "refused"]


@dataclass(frozen=True)
class BagReport:
    """What became of one bag. detail: why it was skipped or refused, or should have been before it became known.

    episodes: the lines of episodes.jsonl now there. timings: stream -> its times; dropped: {from_s, to_s, why} of the rows
    that are in no episode.
    """

    bag: Path
    outcome: Outcome
    detail: str = ""
    episodes: tuple[dict[str, Any], ...] = ()
    timings: dict[str, dict[str, Any]] = field(default_factory=dict)
    dropped: tuple[dict[str, Any], ...] = ()

    def as_data(self) -> dict[str, Any]:
        return asdict(self) | {"bag": str(self.bag), "episodes": list(self.episodes), "dropped": list(self.dropped)}


def convert_bags(bags: Sequence[Path], out: Path, conversion: Conversion) -> Iterator[BagReport]:
    """One report after each bag; statistics and counts are written after the last. A bag that is refused changes nothing.

    Raises DatasetError before anything is read when ``out`` holds something else than this conversion makes.
    """
    _require_same(out, conversion)
    with LeRobotWriter(out, conversion.robot, conversion.fps, encoding=_ENCODING) as writer:
        write_json(_settings_file(out), conversion.settings())
        for bag in bags:
            try:
                yield _convert(bag, writer, conversion)
            except Gr00tError as error:
                yield BagReport(bag, "refused", str(error))
            except OSError as error:
                raise DatasetError(
                    f"{out} cannot be written ({error.strerror or error}); what it holds is whole, the same command goes on"
                ) from error
        if writer.num_episodes:
            writer.finish()


def ages_file(out: Path, episode: int) -> Path:
    """Where the ages [s] of an episode's values lie: columns ``stamp_ns`` (of the tick), ``state``, ``action``, each camera."""
    return out / _FOLDER_OF_AGES / Path(Layout(out).data(episode)).relative_to(out / Path(DATA_PATH).parts[0])


def _convert(bag: Path, writer: LeRobotWriter, conversion: Conversion) -> BagReport:
    notes, identities = episode_notes(bag), known_identities(bag)
    there = _episodes_of(writer.layout, identities)
    why = "" if conversion.all_outcomes else notes.reason_to_skip()
    if there and len(there) == there[0]["parts"]:
        return BagReport(bag, "known", why and f"it is in the dataset already, although {why}", tuple(there))
    if why:
        return BagReport(bag, "skipped", f"{why}; --all takes it")
    if notes.embodiment and notes.embodiment != conversion.robot.name:
        raise DatasetError(f"{bag} is of robot '{notes.embodiment}', not '{conversion.robot.name}'; see --robot")
    recording = read_recording(bag, conversion.robot, conversion.topics)
    timings = audit(recording, conversion.state_hz)
    clock = recorded_time(bag_contents(bag))
    set_back = [f"{step}; record it again" for step in clock.steps] if clock.was_set_back else []
    if found := faults(recording, timings) or set_back:
        raise DatasetError(f"{bag}: " + "; ".join(found))
    rows = _resampled(recording, notes, timings, conversion)
    pieces, dropped = cut(rows, conversion.fps, conversion.cutting)
    left_out = [_timed(rows, piece.start, piece.stop) | {"why": piece.why} for piece in dropped] + [
        {"from_s": _seconds(rows, start_ns), "to_s": _seconds(rows, stop_ns), "why": why}
        for start_ns, stop_ns, why in uncovered(recording)
        if len(rows)
    ]
    if not pieces:
        reasons = "; ".join(f"{part['from_s']:.2f} to {part['to_s']:.2f} s: {part['why']}" for part in left_out[:5])
        raise DatasetError(f"{bag}: nothing in it can be learnt: {reasons or 'its streams have no time in common'}")
    ends_ns = rows.tick_ns + round(1 / (conversion.fps * NS))  # as the command of a row
    drivers = convert_driver.drivers_at(bag, ends_ns, recording.line)
    scenes = SceneHistory(bag, recording.line)
    known_parts = {line["part"] for line in there}
    if len(pieces) > 1:  # a picture that cannot be decoded must be found before the first of them is written
        for pictures in rows.images.values():
            deque(pictures, maxlen=0)
    for part, piece in enumerate(pieces):
        if part not in known_parts:
            info = {
                "bag": bag.name,
                "bag_id": identities[0],
                "part": part,
                "parts": len(pieces),
                "operator": notes.operator,
            }
            info |= {"outcome": notes.outcome} | _described(rows, piece, conversion.fps)
            info |= scenes.between(int(rows.tick_ns[piece.start]), int(rows.tick_ns[piece.stop - 1]))
            _add(writer, rows, piece, drivers, info)
    return BagReport(
        bag,
        "converted",
        _remarks(recording, notes, clock),
        tuple(_episodes_of(writer.layout, identities)),
        {name: asdict(timing) for name, timing in timings.items()},
        tuple(left_out),
    )


def _resampled(
    recording: Recording,
    notes: EpisodeNotes,
    timings: Mapping[str, StreamTiming],
    conversion: Conversion,
) -> Rows:
    instruction = ""
    if not any(_may_be_said(text) for _, text in recording.sentences):
        instruction = _given_instruction(recording, notes, conversion)
        recording = replace(recording, sentences=())  # one that was taken back before does not take the noted one away
    rates = {camera.name: camera.rate_hz for camera in conversion.robot.cameras}
    limits = stream_limits(timings, conversion.fps, rates)
    return resample(recording, conversion.fps, limits, instruction)


def _may_be_said(sentence: str) -> bool:
    return bool(sentence.strip()) and not instruction_fault(sentence, StreamLimits.max_instruction_bytes)


def _given_instruction(recording: Recording, notes: EpisodeNotes, conversion: Conversion) -> str:
    """Where nothing was said that the planner takes: what the recorder noted, else the option. Raises DatasetError."""
    said = [text for _, text in recording.sentences]
    found = [text.strip() for text in (*said, notes.instruction, conversion.instruction) if text.strip()]
    good = [text for text in found if _may_be_said(text)]
    if good:
        return good[0]
    if found:
        fault = instruction_fault(found[-1], StreamLimits.max_instruction_bytes)
        raise DatasetError(f"{recording.bag}: the sentence {found[-1][:80]!r} {fault}; give another with --instruction")
    raise DatasetError(
        f"{recording.bag} says no sentence, neither on {conversion.topics.language} nor as `instruction` in the custom "
        "data of its metadata.yaml; give one with --instruction"
    )


def _add(writer: LeRobotWriter, rows: Rows, piece: Piece, drivers: NDArray[np.int64], info: dict[str, Any]) -> None:
    """One episode, its ages first: what belongs to an episode without a line is deleted when the folder is opened."""
    part = slice(piece.start, piece.stop)
    ages = {"stamp_ns": rows.tick_ns[part], **{name: values[part] for name, values in rows.ages_s.items()}}
    with written_aside(ages_file(writer.layout.root, writer.num_episodes)) as aside:
        pq.write_table(pa.table({name: pa.array(values) for name, values in ages.items()}), aside, compression="zstd")
    images = {camera: frames[part] for camera, frames in rows.images.items()}
    columns = {convert_driver.COLUMN: drivers[part]}
    try:
        writer.add_episode(rows.states[part], rows.actions[part], images, piece.sentence, columns, info)
    except DatasetError:  # a picture cannot be decoded
        writer.discard_unfinished()
        raise


def _described(rows: Rows, piece: Piece, fps: float) -> dict[str, Any]:
    """Times of one episode, for its line and the report."""
    part = slice(piece.start, piece.stop)
    lag = action_lag(rows.actions[part], rows.states[part], round(_MAX_LAG_S * fps))
    return {
        "start_ns": int(rows.tick_ns[piece.start]),
        **_timed(rows, piece.start, piece.stop),
        "idle_s": [count / fps for count in piece.idle_rows],
        "action_lag_s": None if lag is None else lag.frames / fps,
        "oldest_s": {name: round(float(values[part].max()), 4) for name, values in rows.ages_s.items()},
    }


def _timed(rows: Rows, start: int, stop: int) -> dict[str, float]:
    """Of rows [start, stop)."""
    return {"from_s": _seconds(rows, int(rows.tick_ns[start])), "to_s": _seconds(rows, int(rows.tick_ns[stop - 1]))}


def _seconds(rows: Rows, time_ns: int) -> float:
    """From the first row of the bag."""
    return round((time_ns - int(rows.tick_ns[0])) * NS, 3)


def _remarks(recording: Recording, notes: EpisodeNotes, clock: RecordedTime) -> str:
    """Of which clock times are, and where it was set; messages that a node would leave out; a sentence noted, but not said."""
    streams = {"joint states": recording.states, "commands": recording.commands}
    found = [f"{s.refused} {name} left out ({s.reason})" for name, s in streams.items() if s.refused]
    if recording.line.name:
        found.insert(0, f"times are of another clock than the system's: {recording.line.name}")
    found += clock.steps
    said = [text for _, text in recording.sentences if text]
    if said and notes.instruction and notes.instruction not in said:
        found.append(f"the recorder noted '{notes.instruction}', but '{said[0]}' was said and counts")
    return "; ".join(found)


def _episodes_of(layout: Layout, identities: tuple[str, ...]) -> list[dict[str, Any]]:
    lines = read_lines(layout.episodes, ("episode_index", "length")) if layout.episodes.is_file() else []
    return [line for line in lines if line.get("bag_id") in identities]


def _settings_file(out: Path) -> Path:
    return out / "meta" / "conversion.json"


def _require_same(out: Path, conversion: Conversion) -> None:
    """Raise DatasetError unless ``out`` is new, or holds episodes like those that will be made."""
    if out.exists() and not out.is_dir():
        raise DatasetError(f"{out} is a file; give a folder")
    layout, settings = Layout(out), _settings_file(out)
    if not layout.episodes.is_file():
        strange = [path.name for path in out.iterdir() if path.name not in ("meta", ".lock")] if out.is_dir() else []
        if strange and not settings.is_file():
            raise DatasetError(f"{out} is no dataset and not empty (it has {strange[0]}); give another folder")
        return
    sizes = {camera.name: (camera.height, camera.width) for camera in conversion.robot.cameras}
    extras: dict[str, tuple[str, tuple[int, ...]]] = {convert_driver.COLUMN: (convert_driver.DTYPE, ())}
    info = make_info(conversion.robot, conversion.fps, sizes, extras)
    require_same_format(read_object(layout.info), info, layout.info, "this conversion")
    if not settings.is_file():
        raise DatasetError(
            f"{out} holds episodes that were not converted from bags; give another folder and merge them"
        )
    there, given = read_object(settings), json.loads(json.dumps(conversion.settings()))
    if there != given:
        changed = sorted(key for key in given if there.get(key) != given[key])
        raise DatasetError(
            f"{out} was converted with {changed[0] if changed else 'settings'} {there.get(changed[0]) if changed else there}, "
            f"now {given.get(changed[0]) if changed else given}; use the same options or another folder"
        )
