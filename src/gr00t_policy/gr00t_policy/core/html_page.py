# SPDX-License-Identifier: Apache-2.0
"""The frame that all HTML pages of the suite share: no other files, light or dark as the person's system is, also on a phone."""

import base64
from html import escape

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --faint: #666; --bad: #c0392b; --warn: #c77700; --good: #1e8449; }
@media (prefers-color-scheme: dark) {
:root { --faint: #aaa; --bad: #ff7b6b; --warn: #ffb84d; --good: #58c97f; }
.plot { filter: invert(.92) hue-rotate(180deg); } /* white paper becomes dark, red stays red */ }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 1150px; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 1.8em; } p { max-width: 62em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th { color: var(--faint); font-weight: normal; }
.small { color: var(--faint); font-size: 13px; } .scroll { margin: .8rem 0; overflow-x: auto; }
.plot { display: block; width: 100%; min-width: 640px; } video { display: block; max-width: 100%; }
"""


def html_page(title: str, body: str, style: str = "") -> str:
    """The whole page. title: as text; body: as HTML; style: rules of CSS of this page alone."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head>\n<body>{body}</body></html>\n"
    )


def embedded(picture: bytes, kind: str, name: str, style: str = "") -> str:
    """A picture as an HTML element that needs no other file. kind: 'png' or 'jpeg'; name: said where it is not shown."""
    data = base64.b64encode(picture).decode()
    return f'<img class="{style}" alt="{escape(name)}" src="data:image/{kind};base64,{data}">'


def embedded_film(film: bytes) -> str:
    """An mp4 that needs no other file, still and silent until the person starts it."""
    data = base64.b64encode(film).decode()
    return f'<video controls muted loop playsinline src="data:video/mp4;base64,{data}"></video>'


def scrolling(element: str) -> str:
    """What is wider than a phone, moved sideways with a finger instead of making the whole page wide."""
    return f'<div class="scroll" tabindex="0">{element}</div>'
