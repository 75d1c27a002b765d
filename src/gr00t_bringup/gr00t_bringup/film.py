# SPDX-License-Identifier: Apache-2.0
"""Pictures beside each other with a caption under them, as an h264 film. Frame by frame, so that length costs no memory."""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]  # (H, W, 3) RGB
_LINE_PX = 24
_MARGIN_PX = 8
_FONT_PX = 15
_PAPER, _INK = (18, 18, 22), (235, 235, 235)


class FilmWriter:
    """Writes one mp4 (h264, yuv420p, no audio). All frames must have the size of the first, even in both directions."""

    def __init__(self, path: Path, fps: float, crf: int = 23) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "faststart"})
        self._stream = self._container.add_stream(
            "libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": str(crf), "preset": "veryfast"}
        )
        self._stream.pix_fmt = "yuv420p"
        self._empty = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._empty:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def add(self, picture: Picture) -> None:
        """Append one frame."""
        if self._empty:
            self._stream.height, self._stream.width = picture.shape[:2]
            self._empty = False
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))


def beside(pictures: Sequence[Picture], height: int) -> Picture:
    """Pictures scaled to one height (even) and set side by side; the width is made even."""
    scaled = [_scaled(picture, height) for picture in pictures]
    joined = np.concatenate(scaled, axis=1)
    return joined[:, : joined.shape[1] // 2 * 2]


def with_caption(picture: Picture, lines: Sequence[str], *, above: bool = False) -> Picture:
    """The picture with lines of text in a dark strip under it, or above it, where a player's controls hide nothing.

    A text keeps to its line: breaks become spaces, and what is wider than the picture ends with "…".
    """
    strip_px = 2 * _MARGIN_PX + _LINE_PX * len(lines)
    strip = Image.new("RGB", (picture.shape[1], strip_px), _PAPER)
    draw = ImageDraw.Draw(strip)
    for index, text in enumerate(lines):
        fitting = _fitting(text, picture.shape[1] - 2 * _MARGIN_PX)
        draw.text((_MARGIN_PX, _MARGIN_PX + index * _LINE_PX), fitting, fill=_INK, font=_font())
    return np.concatenate([np.asarray(strip), picture] if above else [picture, np.asarray(strip)], axis=0)


@cache
def _font() -> ImageFont.FreeTypeFont:
    """DejaVu Sans out of matplotlib's package: Pillow's own font has no letters beyond ASCII, people's sentences do."""
    found = find_spec("matplotlib")
    assert found is not None, "pinned in requirements/train.txt"
    assert found.origin is not None
    return ImageFont.truetype(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", _FONT_PX)


@lru_cache(maxsize=16)  # a sentence stays the same for many frames
def _fitting(text: str, width_px: int) -> str:
    """The text in one line, or as much of its beginning as fits."""
    line = " ".join(text.splitlines())
    if len(line) <= width_px and _font().getlength(line) <= width_px:
        return line
    shown = line[:width_px]  # more letters than pixels never fit
    while shown and _font().getlength(f"{shown}…") > width_px:
        shown = shown[:-1]
    return f"{shown}…"


def _scaled(picture: Picture, height: int) -> Picture:
    if picture.shape[0] == height:
        return picture
    width = round(picture.shape[1] * height / picture.shape[0])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))
