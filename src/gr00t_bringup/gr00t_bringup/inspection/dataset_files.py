# SPDX-License-Identifier: Apache-2.0
"""Whether the files of a dataset are there and whole, found without reading rows or decoding a picture."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import pyarrow as pa
import pyarrow.parquet as pq

from gr00t_bringup.inspection.report import Problem
from gr00t_policy.core.errors import DatasetError, Gr00tError
from gr00t_policy.data.dataset import LeRobotDataset

_BOX_HEAD = 8  # bytes: size and type of an mp4 box; https://developer.apple.com/documentation/quicktime-file-format
_LONG_SIZE = 1  # in place of the size: 64 bits follow the type


@dataclass(frozen=True)
class VideoStream:
    """What the first video of a camera says of itself."""

    codec: str
    width: int
    height: int
    fps: float


def file_problems(dataset: LeRobotDataset) -> list[Problem]:
    """Missing, cut or wrongly long files of all episodes."""
    found = []
    for entry in dataset.episodes:
        rows = dataset.layout.data(entry.index)
        if fault := _parquet_fault(rows, entry.length):
            found.append(Problem("damage", _below(dataset, rows), fault))
        for camera in dataset.cameras:
            video = dataset.video_path(entry.index, camera)
            if fault := _mp4_fault(video):
                found.append(Problem("damage", _below(dataset, video), fault))
    return found


def first_streams(dataset: LeRobotDataset) -> tuple[dict[str, VideoStream], list[Problem]]:
    """Camera -> its stream in the first episode that has the file."""
    streams, problems = {}, []
    for camera, (height, width) in dataset.cameras.items():
        files = (dataset.video_path(entry.index, camera) for entry in dataset.episodes)
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            continue  # every one of them is named as missing
        try:
            stream = streams[camera] = _stream(file)
        except Gr00tError as error:
            problems.append(Problem("damage", _below(dataset, file), str(error)))
            continue
        if (stream.width, stream.height) != (width, height):
            detail = f"it is {stream.width}x{stream.height}, info.json says {width}x{height}"
            problems.append(Problem("damage", _below(dataset, file), detail))
        if abs(stream.fps - dataset.fps) > 0.01:
            detail = f"it plays at {stream.fps:g} frames/s, info.json says {dataset.fps:g}"
            problems.append(Problem("damage", _below(dataset, file), detail))
    return streams, problems


def _stream(file: Path) -> VideoStream:
    try:
        with av.open(str(file)) as container:
            video = container.streams.video[0]
            codec = video.codec_context.name
            return VideoStream(codec, video.width, video.height, float(video.average_rate or 0))
    except (av.error.FFmpegError, IndexError) as error:
        raise DatasetError(f"not a readable video ({error})") from error


def _parquet_fault(file: Path, length: int) -> str:
    """'' when the footer is there and counts ``length`` rows."""
    if not file.is_file():
        return "missing"
    try:
        rows = pq.read_metadata(file).num_rows
    except (pa.ArrowException, OSError) as error:
        return f"damaged: {str(error).splitlines()[0]}"
    return "" if rows == length else f"{rows} rows, episodes.jsonl says {length}"


def _mp4_fault(file: Path) -> str:
    """'' when the boxes fill the file and an index (moov) is among them."""
    if not file.is_file():
        return "missing"
    size = file.stat().st_size
    boxes = list(_boxes(file))
    end = boxes[-1][1] if boxes else 0
    if end != size:
        return f"cut off or damaged: {size} bytes, its parts end at byte {end}"
    return "" if b"moov" in dict(boxes) else "has no index (moov): the recording was not finished"


def _boxes(file: Path) -> Iterator[tuple[bytes, int]]:
    """(type, end in the file) of the outermost boxes, as far as they make sense."""
    begin = 0
    with file.open("rb") as stream:
        while len(head := stream.read(_BOX_HEAD)) == _BOX_HEAD:
            size = int.from_bytes(head[:4], "big")
            if size == _LONG_SIZE:
                size = int.from_bytes(stream.read(8), "big")
            elif size == 0:  # to the end of the file
                size = file.stat().st_size - begin
            if size < _BOX_HEAD:
                return
            begin += size
            yield head[4:], begin
            stream.seek(begin)


def _below(dataset: LeRobotDataset, file: Path) -> str:
    return str(file.relative_to(dataset.layout.root))
