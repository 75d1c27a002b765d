# SPDX-License-Identifier: Apache-2.0
"""What a person who opens an HTML file would call broken, found by a browser without a window."""

import asyncio
from pathlib import Path

from headless_browser import Browser

_PHONE_PX = 360  # the narrowest that is common
_NOT_SHOWN = "Array.from(document.images).filter(image => !image.naturalWidth).map(image => image.alt)"
_PLAYED = """Promise.all(Array.from(document.querySelectorAll('video')).map(async film => {
  try { film.muted = true; await film.play(); } catch (error) { return `a film does not play: ${error.message}`; }
  const end = performance.now() + 10000;
  while (film.currentTime < 0.05 && performance.now() < end) await new Promise(done => setTimeout(done, 20));
  film.pause();
  return film.currentTime < 0.05 ? 'a film stands still' : '';
}))"""
# Of a text's colour on a paper's, both as '#rrggbb': their lightness, from 0 to 255.
_LIGHTNESS = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const light = colour => {
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
    return 0.3 * red + 0.6 * green + 0.1 * blue;
  };
  const probe = document.body.appendChild(document.createElement('i'));
  probe.style.color = 'Canvas';
  const paper = light(getComputedStyle(probe).color);
  probe.remove();
  return [light(getComputedStyle(document.querySelector('p')).color), paper];
})()"""


def defects(page: Path, profile: Path) -> list[str]:
    """One line a defect, none for a good page, which must have a paragraph. profile: a folder to be made, for the browser."""
    return asyncio.run(_look(page, profile))


async def _look(page: Path, profile: Path) -> list[str]:
    async with Browser(profile) as browser:
        await browser.open(page.resolve().as_uri())
        found = [f"picture not shown: {name}" for name in await browser.do(_NOT_SHOWN)]
        found += filter(None, await browser.do(_PLAYED))
        for dark in (False, True):
            await browser.screen(_PHONE_PX, 740, dark=dark, phone=True)
            text, paper = await browser.do(_LIGHTNESS)
            if (text < paper) is dark or abs(text - paper) < 120:
                found.append(f"{'dark' if dark else 'light'} colours: text of lightness {text:.0f} on {paper:.0f}")
        width_px = await browser.do("document.documentElement.scrollWidth")
        if width_px > _PHONE_PX:
            found.append(f"{width_px} pixels wide on a phone of {_PHONE_PX}")
        return [*found, *browser.faults, *(f"asks for {url}" for url in browser.asked)]
