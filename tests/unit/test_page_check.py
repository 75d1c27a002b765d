# SPDX-License-Identifier: Apache-2.0
"""The check of pages finds what is broken, each kind of it, and nothing on a plain page."""

from pathlib import Path

import pytest

from headless_browser import NO_BROWSER
from page_check import defects

pytestmark = pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)
_HEAD = '<!doctype html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'


def test_each_kind_of_defect_is_found_and_nothing_else(tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(
        f"""{_HEAD}</head><body><p style="width: 900px; color: black">text</p><img alt="a plot" src="no_such_plot.png">
        <video src="data:video/mp4;base64,AAAA"></video><script src="http://127.0.0.1:9/far.js"></script>
        <script>console.error("went wrong"); throw new Error("thrown")</script></body></html>"""
    )
    found = "\n".join(defects(broken, tmp_path / "profile"))
    for kind in (
        "picture not shown: a plot",
        "no_such_plot.png",
        "a film does not play",
        "asks for http://127.0.0.1:9/far.js",
        "went wrong",
        "thrown",
        "pixels wide on a phone",
        "dark colours",
    ):
        assert kind in found
    assert "light colours" not in found


def test_a_plain_page_has_none(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"{_HEAD}<style>:root {{ color-scheme: light dark }}</style></head><body><p>text</p></body></html>")
    assert defects(page, tmp_path / "profile") == []
