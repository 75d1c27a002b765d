# SPDX-License-Identifier: Apache-2.0
"""The interface files read like a specification: every field says its unit, its frame, what empty means."""

import re

import pytest

from workspace import MESSAGES, SRC, short

FOLDER = SRC / MESSAGES
FILES = sorted(path for kind in ("msg", "srv", "action") for path in (FOLDER / kind).iterdir())
_FIELD = re.compile(
    r"^(?P<type>[A-Za-z][\w/\[\]<=]*)\s+(?P<name>[A-Za-z]\w*)\s*(?P<value>=\s*\S+)?\s*(?P<comment>#.*)?$"
)
_TIME_OR_RATE = re.compile(r"_(s|hz|rad|m)$")
files = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def fields(text: str) -> list[re.Match[str]]:
    """The field and constant lines of an interface file."""
    lines = (line.strip() for line in text.splitlines())
    found = [(line, _FIELD.match(line)) for line in lines if line and not line.startswith(("#", "---"))]
    assert all(match for _, match in found), [line for line, match in found if not match]
    return [match for _, match in found if match]


def test_every_interface_file_is_built_and_every_built_file_exists() -> None:
    listed = re.findall(r'"((?:msg|srv|action)/\w+\.\w+)"', (FOLDER / "CMakeLists.txt").read_text())
    assert sorted(listed) == sorted(str(path.relative_to(FOLDER)) for path in FILES)


@files
def test_every_field_has_a_comment(path) -> None:
    silent = [
        match["name"] for match in fields(path.read_text()) if not match["comment"] and not is_plain_constant(match)
    ]
    assert silent == [], short(path)


@files
def test_a_field_with_a_unit_in_its_name_repeats_it_in_its_comment(path) -> None:
    wrong = [
        match["name"]
        for match in fields(path.read_text())
        if (unit := _TIME_OR_RATE.search(match["name"]))
        and not re.search(rf"\[{unit[1]}\]", match["comment"], re.IGNORECASE)
    ]
    assert wrong == [], short(path)


@files
def test_every_text_and_list_says_what_empty_means_or_what_it_holds(path) -> None:
    vague = [
        match["name"]
        for match in fields(path.read_text())
        if (match["type"] == "string" or "[" in match["type"]) and len(match["comment"].strip("# ")) < len("one of X")
    ]
    assert vague == [], short(path)


@files
def test_states_have_a_zero_that_means_nothing_was_said(path) -> None:
    """A message that nobody filled in must not look like a running robot."""
    if "msg" not in path.parts:
        return
    constants = [match for match in fields(path.read_text()) if match["value"]]
    if constants:
        zeros = [match["name"] for match in constants if int(match["value"].strip("= ")) == 0]
        assert zeros, f"{short(path)}: no constant is 0"
        assert all("UNKNOWN" in name for name in zeros)


@files
def test_a_message_about_an_instant_begins_with_a_header(path) -> None:
    parts = ("HandKeypoints", "RecordedTopic")  # of OperatorState and RecorderState, which have the header
    if "msg" in path.parts and path.stem not in parts:
        first = next(match for match in fields(path.read_text()) if not match["value"])
        assert (first["type"], first["name"]) == ("std_msgs/Header", "header")


def is_plain_constant(match: re.Match[str]) -> bool:
    """Constants whose name says it all."""
    return match["value"] is not None and match["name"].endswith(("UNKNOWN", "NONE", "LEFT", "RIGHT"))
