# SPDX-License-Identifier: Apache-2.0
"""A film of one bag: the camera's pictures with the hands' predicted and done paths on them, and joint curves beside."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gr00t_bringup.bag_evaluation.aligned import Aligned, moving_joints
from gr00t_bringup.bag_evaluation.hand_paths import HandPaths
from gr00t_bringup.bag_evaluation.recorded_run import RecordedRun
from gr00t_bringup.film import FilmWriter, Picture, with_caption

FPS = 10.0
LONGEST_S = 60.0
DONE, PREDICTED, STATE = (90, 220, 120), (255, 90, 70), (120, 170, 255)
_HEIGHT_PX, _PANEL_PX = 384, 384
_CURVES = 4  # joints in the panel: those that move most, at most two of a group
_BEFORE_S, _AFTER_S = 1.0, 1.0
_PAPER, _INK, _FAINT = (24, 24, 28), (225, 225, 225), (80, 80, 88)
_CRF = 30  # of h264: a film for the page, not for training
_S_NS = 1_000_000_000


def film_predictions(run: RecordedRun, aligned: Aligned, file: Path) -> int:
    """Write an mp4 of at most a minute; returns the number of frames."""
    paths = HandPaths.of(run.recording.robot)
    columns = _columns(aligned)
    frames = 0
    with FilmWriter(file, FPS, _CRF) as film:
        for chunk, picture in _instants(run, aligned):
            left = _with_paths(picture, paths, aligned, chunk)
            joined = np.concatenate([left, _panel(aligned, chunk, columns)], axis=1)
            caption = _caption(run, aligned, chunk, paths is not None)
            film.add(_even(with_caption(joined, caption, above=True)))
            frames += 1
    return frames


def _instants(run: RecordedRun, aligned: Aligned) -> Iterator[tuple[int, Picture]]:
    """(number of the newest chunk, newest picture of the first camera) at each instant of the film."""
    camera = run.recording.robot.cameras[0].name
    pictures = run.recording.pictures(camera)
    following = next(pictures, None)
    newest: Picture | None = None
    first_ns = int(aligned.made_ns[0])
    last_ns = min(int(aligned.made_ns[-1]), first_ns + round(LONGEST_S * _S_NS))
    for time_ns in range(first_ns, last_ns + 1, round(_S_NS / FPS)):
        while following is not None and following[0] <= time_ns:
            newest, following = following[2], next(pictures, None)
        if newest is not None:
            yield int(np.searchsorted(aligned.made_ns, time_ns, side="right")) - 1, newest


def _with_paths(picture: Picture, paths: HandPaths | None, aligned: Aligned, chunk: int) -> Picture:
    width = round(picture.shape[1] * _HEIGHT_PX / picture.shape[0])
    image = Image.fromarray(picture).resize((width, _HEIGHT_PX), Image.Resampling.BILINEAR)
    if paths is None:
        return np.asarray(image)
    draw = ImageDraw.Draw(image)
    here, known = aligned.held[chunk], aligned.known[chunk]
    for positions, colour in ((aligned.done[chunk][known], DONE), (aligned.predicted[chunk], PREDICTED)):
        for points in paths.in_picture(here, np.concatenate([here[None], positions])).values():
            pixels = [(u * width, v * _HEIGHT_PX) for u, v in points if np.isfinite(u) and np.isfinite(v)]
            if len(pixels) > 1:
                draw.line(pixels, fill=colour, width=3, joint="curve")
                u, v = pixels[-1]
                draw.ellipse((u - 5, v - 5, u + 5, v + 5), outline=colour, width=2)
    return np.asarray(image)


def _panel(aligned: Aligned, chunk: int, columns: list[int]) -> Picture:
    """Curves of a few joints around now: done green, recorded state blue, chunk red."""
    image = Image.new("RGB", (_PANEL_PX, _HEIGHT_PX), _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    now_ns = int(aligned.made_ns[chunk])
    ahead_s = max(float(aligned.due_ns[chunk, -1] - now_ns) / _S_NS, _AFTER_S)
    height = _HEIGHT_PX / len(columns)
    done = aligned.recorded
    inside = (done.times_ns >= now_ns - _BEFORE_S * _S_NS) & (done.times_ns <= now_ns + ahead_s * _S_NS)
    before = (aligned.made_ns >= now_ns - _BEFORE_S * _S_NS) & (aligned.made_ns <= now_ns)
    for row, column in enumerate(columns):
        low, high = _span(aligned, column)

        def place(
            times_ns: NDArray[np.int64],
            values: NDArray[np.float64],
            row: int = row,
            low: float = low,
            high: float = high,
        ) -> list[tuple[float, float]]:
            x = 8 + ((times_ns - now_ns) / _S_NS + _BEFORE_S) / (_BEFORE_S + ahead_s) * (_PANEL_PX - 16)
            y = (row + 1) * height - 8 - (values - low) / (high - low) * (height - 30)
            return list(zip(x.tolist(), y.clip(row * height + 18, (row + 1) * height - 3).tolist(), strict=True))

        x_now = 8 + _BEFORE_S / (_BEFORE_S + ahead_s) * (_PANEL_PX - 16)
        draw.line(((x_now, row * height + 18), (x_now, (row + 1) * height - 3)), fill=_FAINT)
        said = f"{aligned.robot.policy_joint_names[column]}: {low:.2f} to {high:.2f} rad"
        draw.text((8, row * height + 2), said, fill=_INK, font=font)
        curves = (
            (place(done.times_ns[inside], done.positions[inside, column]), DONE),
            (place(aligned.made_ns[before], aligned.held[before, column]), STATE),
            (place(aligned.due_ns[chunk], aligned.predicted[chunk, :, column]), PREDICTED),
        )
        for points, colour in curves:
            if len(points) > 1:
                draw.line(points, fill=colour, width=2)
    return np.asarray(image)


def _columns(aligned: Aligned) -> list[int]:
    """The joints that move most, at most two of a group, in the robot's order."""
    ranges = np.ptp(aligned.recorded.positions, axis=0) * moving_joints([aligned])
    chosen: list[int] = []
    for column in np.argsort(-ranges).tolist():
        group = next(name for name, part in aligned.robot.policy_slices.items() if part.start <= column < part.stop)
        part = aligned.robot.policy_slices[group]
        if sum(part.start <= other < part.stop for other in chosen) < 2:
            chosen.append(column)
        if len(chosen) == _CURVES:
            break
    return sorted(chosen)


def _span(aligned: Aligned, column: int) -> tuple[float, float]:
    """Lowest and highest value worth showing."""
    values = np.concatenate([aligned.recorded.positions[:, column], aligned.predicted[..., column].ravel()])
    low, high = np.percentile(values, (0.5, 99.5))
    return float(low), float(max(high, low + 0.05))


def _caption(run: RecordedRun, aligned: Aligned, chunk: int, paths: bool) -> list[str]:
    now_ns = int(aligned.made_ns[chunk])
    known = aligned.known[chunk]
    off = np.abs(aligned.predicted[chunk] - aligned.done[chunk])[known]
    error = f"chunk is {off.mean():.3f} rad off" if known.any() else "nothing known of what was done"
    what = "paths of the hands and joints: " if paths else "joints: "
    seconds = (now_ns - int(aligned.made_ns[0])) / _S_NS
    return [
        f"{seconds:5.1f} s   “{run.sentence_at(now_ns)}”",
        f"{what}red predicted, green done, blue measured   {error}",
    ]


def _even(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    return picture[: height // 2 * 2, : width // 2 * 2]
