# SPDX-License-Identifier: Apache-2.0
"""The interface files read like a specification: every field says its unit, its frame, what empty means."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from workspace import MESSAGES, SRC, short

FOLDER = SRC / MESSAGES
FILES = sorted(path for kind in ("msg", "srv", "action") for path in (FOLDER / kind).iterdir())
_FIELD = re.compile(
    r"^(?P<type>[A-Za-z][\w/\[\]<=]*)\s+(?P<name>[A-Za-z]\w*)\s*(?P<value>=\s*\S+)?\s*(?P<comment>#.*)?$"
)
_TIME_OR_RATE = re.compile(r"_(s|hz|rad|m)$")
_UNIT = r"\[(s|Hz|rad|rad/s|m|byte|m, unit quaternion x y z w)\]"
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
def test_every_field_has_a_comment(path: Path) -> None:
    silent = [
        match["name"] for match in fields(path.read_text()) if not match["comment"] and not is_plain_constant(match)
    ]
    assert silent == [], short(path)


def vague(path: Path, concerns: Callable[[str], bool], *said: str) -> list[str]:
    """Fields of such a type whose comment lacks one of the patterns ``said``."""
    return [
        f"{match['name']} lacks '{pattern}': {match['comment']}"
        for match in fields(path.read_text())
        if not match["value"] and concerns(match["type"])
        for pattern in said
        if not re.search(pattern, match["comment"] or "")
    ]


@files
def test_a_field_with_a_unit_in_its_name_repeats_it_in_its_comment(path: Path) -> None:
    wrong = [
        match["name"]
        for match in fields(path.read_text())
        if (unit := _TIME_OR_RATE.search(match["name"]))
        and not re.search(rf"\[{unit[1]}\]", match["comment"], re.IGNORECASE)
    ]
    assert wrong == [], short(path)


@files
def test_every_fraction_has_a_unit_or_says_that_it_has_none_and_whether_it_may_be_nan(path: Path) -> None:
    assert vague(path, lambda kind: kind.startswith("float"), rf"{_UNIT}|no unit", r"\bNaN\b") == [], short(path)


@files
def test_every_whole_number_says_what_it_counts_or_chooses_and_what_0_means(path: Path) -> None:
    what = rf"{_UNIT}|\bcounts\b|\bnumber of\b|`sequence` of|\bseed of\b|\bone of [A-Z_]+"
    assert vague(path, is_whole, what, r"\b0\b|one of [A-Z_]+") == [], short(path)


@files
def test_every_text_says_what_empty_means(path: Path) -> None:
    assert vague(path, lambda kind: kind == "string", "empty") == [], short(path)


@files
def test_every_sentence_of_a_person_says_its_encoding(path: Path) -> None:
    spoken = ("instruction", "sentence", "operator_name")
    silent = [
        match["name"] for match in fields(path.read_text()) if match["name"] in spoken and "UTF-8" not in match[0]
    ]
    assert silent == [], short(path)


@files
def test_every_list_says_what_empty_means_and_numbers_in_it_their_unit_or_what_they_are(path: Path) -> None:
    assert vague(path, lambda kind: "[" in kind, "empty") == [], short(path)
    units = rf"{_UNIT}|no unit|number of|1: [^,]+, 0: "
    assert vague(path, lambda kind: bool(re.match(r"(float|u?int)\d+\[", kind)), units) == [], short(path)


@files
def test_every_pose_says_its_frame_and_how_its_numbers_are_meant(path: Path) -> None:
    geometric = lambda kind: kind.startswith("geometry_msgs/")  # noqa: E731
    assert vague(path, geometric, "frame", r"\[m, unit quaternion x y z w\]") == [], short(path)
    assert vague(path, lambda kind: kind == "HandKeypoints", "frame", "empty") == [], short(path)


@files
def test_every_yes_or_no_says_what_yes_or_no_means(path: Path) -> None:
    assert vague(path, lambda kind: kind.startswith("bool"), r"\b(true|false): ") == [], short(path)


@files
def test_every_stamp_names_its_clock_and_every_header_its_frame(path: Path) -> None:
    assert vague(path, lambda kind: kind == "builtin_interfaces/Time", r"\bclock\b", r"\b0: ") == [], short(path)
    assert vague(path, lambda kind: kind == "std_msgs/Header", "stamp: .*clock", "frame_id: ") == [], short(path)


def test_every_choice_names_constants_that_exist() -> None:
    """A number that chooses lists its constants, all of them, or their prefix."""
    texts = {path.stem: path.read_text() for path in FILES}
    for path in FILES:
        for match in fields(path.read_text()):
            chosen = re.search(r"one of ((?:[A-Z_]+\*?(?:, )?)+)(?: of gr00t_msgs/(\w+))?", match["comment"] or "")
            if match["value"] or chosen is None:
                continue
            there = [one["name"] for one in fields(texts[chosen[2] or path.stem]) if one["value"]]
            named = chosen[1].removesuffix(", ").split(", ")
            if named[0].endswith("*"):
                assert any(name.startswith(named[0][:-1]) for name in there), (short(path), match["name"])
            else:
                begin = there.index(named[0])
                assert there[begin : begin + len(named)] == named, (short(path), match["name"])
                assert len(there) == begin + len(named) or there[begin + len(named)].endswith("UNKNOWN"), short(path)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("float32 torque   # how hard it pulls; NaN: none", r"\[|no unit"),
        ("float32 age_s   # how old [s]", r"\bNaN\b"),
        ("string name   # of the robot", "empty"),
        ("geometry_msgs/Pose wrist   # of the robot [m, unit quaternion x y z w]", "frame"),
    ],
)
def test_a_comment_that_leaves_something_open_is_found(tmp_path: Path, line: str, rule: str) -> None:
    file = tmp_path / "Made.msg"
    file.write_text(line + "\n")
    assert len(vague(file, lambda kind: True, rule)) == 1


@files
def test_states_have_a_zero_that_means_nothing_was_said(path: Path) -> None:
    """A message that nobody filled in must not look like a running robot."""
    if "msg" not in path.parts:
        return
    constants = [match for match in fields(path.read_text()) if match["value"]]
    if constants:
        zeros = [match["name"] for match in constants if int(match["value"].strip("= ")) == 0]
        assert zeros, f"{short(path)}: no constant is 0"
        assert all("UNKNOWN" in name for name in zeros)


@files
def test_a_message_about_an_instant_begins_with_a_header(path: Path) -> None:
    parts = ("HandKeypoints", "RecordedTopic")  # of OperatorState and RecorderState, which have the header
    if "msg" in path.parts and path.stem not in parts:
        first = next(match for match in fields(path.read_text()) if not match["value"])
        assert (first["type"], first["name"]) == ("std_msgs/Header", "header")


def is_whole(kind: str) -> bool:
    return bool(re.fullmatch(r"u?int\d+", kind))


def is_plain_constant(match: re.Match[str]) -> bool:
    """Constants whose name says it all."""
    return match["value"] is not None and match["name"].endswith(("UNKNOWN", "NONE", "LEFT", "RIGHT"))
