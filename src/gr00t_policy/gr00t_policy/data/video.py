# SPDX-License-Identifier: Apache-2.0
"""Camera frames <-> h264 files (yuv420p, no audio), through PyAV. Knows nothing about datasets."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import av.container
import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.row_times import SAME_RATE

Frames = NDArray[np.uint8]  # (N, H, W, 3) RGB
_UNINDEXED_WAY = 24  # frames: rather decoded than sought, where the key frames are not known


@dataclass(frozen=True)
class VideoEncoding:
    """How frames are compressed. Lower ``crf`` = better and bigger; ``keyframe_interval`` bounds the cost of a seek."""

    crf: int = 19
    preset: str = "veryfast"
    keyframe_interval: int = 10
    threads: int = 1  # frames of this size gain nothing from more; writers run side by side instead


DEFAULT_ENCODING = VideoEncoding()


class FrameSource(Protocol):
    """N frames (H, W, 3) uint8 RGB, one after the other: ``Frames``, or what makes them when asked."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


def write_video(path: Path, frames: FrameSource, fps: float, encoding: VideoEncoding = DEFAULT_ENCODING) -> None:
    """Encode (N, H, W, 3) uint8 RGB frames, frame i at i / fps seconds. No B-frames: file order is time order."""
    count, height, width, _ = frames.shape
    if count == 0 or height % 2 or width % 2:
        raise DatasetError(f"{path}: a video needs at least one frame of even size, got {count} of {width}x{height}")
    rate = Fraction(fps).limit_denominator(1000)
    options = {
        "crf": str(encoding.crf),
        "preset": encoding.preset,
        "g": str(encoding.keyframe_interval),
        "bf": "0",
        "x264-params": "mbtree=0",  # with it a file depends on what lay in x264's memory: 1 in 50 differed
    }
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = encoding.threads
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


@dataclass(frozen=True)
class VideoHeader:
    """What the container says, without decoding."""

    frames: int
    fps: float
    height: int
    width: int


@dataclass(frozen=True)
class Pairing:
    """So many rows, so many a second [Hz], each with one frame."""

    rows: int
    fps: float

    def require(self, path: Path, stream: av.video.stream.VideoStream) -> None:
        """Raise DatasetError where the container says that frame i is not of row i. Decodes nothing."""
        rate = float(stream.average_rate or self.fps)
        if stream.frames not in (0, self.rows) or abs(rate / self.fps - 1) > SAME_RATE:  # 0: it does not say
            raise DatasetError(
                f"{path} has {stream.frames} frames, {rate:g} a second, its episode {self.rows} rows and fps {self.fps:g}; "
                "`gr00t data check DATASET` says where else"
            )


def read_header(path: Path) -> VideoHeader:
    """Raises DatasetError when the file is missing, cut short or no video."""
    with _opened(path) as container:
        _require_whole(path)
        stream = container.streams.video[0]
        return VideoHeader(stream.frames, float(stream.average_rate or 0), stream.height, stream.width)


def require_regular(path: Path, frames: int, fps: float) -> None:
    """Raise DatasetError unless the file is h264 (yuv420p) with so many frames, frame i at i / fps. Decodes nothing."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        kind = f"{stream.codec_context.name} {stream.codec_context.pix_fmt}"
        times_s = sorted(
            float((packet.pts or 0) * packet.time_base) for packet in container.demux(stream) if packet.size
        )
    regular = len(times_s) == frames and np.allclose(times_s, np.arange(frames) / fps, atol=0.01 / fps)
    if kind != "h264 yuv420p" or not regular:
        raise DatasetError(
            f"{path}: {len(times_s)} frames of {kind} until {max(times_s, default=0.0):.3f} s were written, expected "
            f"{frames} of h264 yuv420p, {fps:g} a second; is the disk full?"
        )


def iterate_frames(path: Path, every: int = 1, paired: Pairing | None = None) -> Iterator[NDArray[np.uint8]]:
    """Decode from the start: frame 0, every, 2 every, ... as (H, W, 3) uint8 RGB. Raises DatasetError."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        if paired is not None:
            paired.require(path, stream)
        stream.codec_context.thread_count = 1
        try:
            for index, frame in enumerate(container.decode(stream)):
                if index % every == 0:
                    yield _rgb(frame)
        except av.error.FFmpegError as error:
            raise DatasetError(f"{path} is damaged ({error}); delete this episode or write it again") from error


def read_frames(
    path: Path, indices: Sequence[int] | NDArray[np.integer] | None = None, paired: Pairing | None = None
) -> Frames:
    """Frames at ``indices`` (any order, repeats allowed) or all of them, as (N, H, W, 3) uint8 RGB.

    Few frames are reached by seeking to the key frame before each; the result does not depend on the way taken. paired:
    raises DatasetError for a video that is not like it.
    """
    if indices is None:
        return _stacked(path, iterate_frames(path, paired=paired))
    wanted = sorted({int(index) for index in indices})
    found = dict(_at(path, wanted, paired))
    missing = [index for index in wanted if index not in found]
    if missing:
        raise DatasetError(f"{path} has no frame {missing[0]}: asked for frames {wanted[0]} to {wanted[-1]}")
    return _stacked(path, (found[int(index)] for index in indices))


def _at(path: Path, wanted: list[int], paired: Pairing | None) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Frames at sorted indices, seeking where a key frame lies between the last and the next wanted one."""
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        if not stream.average_rate or not stream.time_base:
            raise DatasetError(f"{path} does not say how many frames per second it has")
        if paired is not None:
            paired.require(path, stream)
        period = 1 / (stream.average_rate * stream.time_base)  # of one frame, in ticks of the stream
        queue = iter(wanted)
        target = next(queue, None)
        frames, position = None, -1
        try:
            while target is not None:
                if frames is None or position < _key_frame(stream, target, period):
                    container.seek(round(target * period), stream=stream, backward=True)
                    frames = container.decode(stream)
                for frame in frames:
                    position = round(((frame.pts or 0) - (stream.start_time or 0)) / period)
                    if position >= target:
                        break
                else:
                    return
                if position == target:
                    yield target, _rgb(frame)
                target = next(queue, None)
        except av.error.FFmpegError as error:
            raise DatasetError(f"{path} is damaged ({error}); delete this episode or write it again") from error


def _key_frame(stream: av.video.stream.VideoStream, target: int, period: Fraction) -> int:
    """The key frame from which ``target`` is decoded, by the file's index; without one, a guess that bounds the way there."""
    entries = stream.index_entries
    if len(entries) == 0:
        return target - _UNINDEXED_WAY
    begin = entries[0].timestamp  # below 0 where frames are stored in another order than shown
    found = entries.search_timestamp(begin + round(target * period))
    return round((entries[found].timestamp - begin) / period) if found >= 0 else target - _UNINDEXED_WAY


def _require_whole(path: Path) -> None:
    """An mp4 is a row of boxes that begin with their size (ISO 14496-12); one that is cut short may still open."""
    size, place = path.stat().st_size, 0
    with path.open("rb") as file:
        while size - place >= 8:
            file.seek(place)
            header = file.read(16)
            if place == 0 and header[4:8] != b"ftyp":
                return  # another container
            length = int.from_bytes(header[:4], "big")
            length = int.from_bytes(header[8:16], "big") if length == 1 else length or size - place
            place += max(length, 8)
    if place != size:
        raise DatasetError(
            f"{path} is not a readable video (it is cut short or has something added); "
            "delete this episode or write it again"
        )


def _rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _stacked(path: Path, frames: Iterable[NDArray[np.uint8]]) -> Frames:
    stacked = list(frames)
    if not stacked:
        raise DatasetError(f"{path} holds no frame")
    return np.stack(stacked)


def _opened(path: Path) -> av.container.InputContainer:
    try:
        container = av.open(str(path), metadata_errors="replace")
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing; copy it back or remove its episode from the dataset") from error
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{path} is not a readable video ({error}); delete this episode or write it again"
        ) from error
    if not container.streams.video:
        container.close()
        raise DatasetError(f"{path} has no video stream")
    if getattr(container.streams.video[0], "codec_context", None) is None:  # then the stream has no size either
        container.close()
        raise DatasetError(f"{path} says a codec that nobody knows; delete this episode or write it again")
    return container
