# SPDX-License-Identifier: Apache-2.0
"""What the recorder noted beside the messages: the sentence, who showed it, how it ended, on what robot and with what."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from mcap.reader import make_reader

from gr00t_policy.data.bag_damage import BROKEN_FILE
from gr00t_policy.data.bag_metadata import METADATA_FILE, ROSBAG2_RECORD

_VERSION = "version."
_LOST = "lost."
_UNRECORDED = "unrecorded."


def bag_notes(path: Path, files: list[Path]) -> dict[str, str]:
    """The custom data of a bag, from its metadata.yaml, else from its last file; empty where nothing is said."""
    if path.is_dir() and (notes := _of_folder(path)):
        return notes
    return _of_file(files[-1]) if files else {}


def note_facts(notes: Mapping[str, str]) -> list[tuple[str, str]]:
    """(what, value) lines for people."""
    facts = []
    if notes.get("instruction"):
        by = f" by {notes['operator']}" if notes.get("operator") else ""
        facts.append(("episode", f"'{notes['instruction']}'{by}; {_judgement(notes)}"))
    lost = [f"{count} of {key.removeprefix(_LOST)}" for key, count in notes.items() if key.startswith(_LOST)]
    if notes.get("messages_lost", "0") != "0":
        facts.append(("lost", f"{notes['messages_lost']} messages on the way to the recorder: {', '.join(lost)}"))
    facts += [
        ("not recorded", f"{key.removeprefix(_UNRECORDED)}: {why}")
        for key, why in notes.items()
        if key.startswith(_UNRECORDED)
    ]
    if notes.get("embodiment"):
        facts.append(("robot", notes["embodiment"]))
    software = [
        f"{key.removeprefix(_VERSION)} {value}" for key, value in sorted(notes.items()) if key.startswith(_VERSION)
    ]
    software += [f"ROS {notes['ros_distro']}"] if notes.get("ros_distro") else []
    software += [notes["rmw"]] if notes.get("rmw") else []
    if software:
        on = f" on {notes['host']}" if notes.get("host") else ""
        facts.append(("recorded", f"by {', '.join(software)}{on}"))
    if notes.get("recovered_from"):
        facts.append(("recovered", f"from {notes['recovered_from']}"))
    return facts


def _judgement(notes: Mapping[str, str]) -> str:
    outcome = notes.get("outcome") or "not judged"
    discarded = notes.get("kept", "true") == "false" or notes.get("end") == "discarded"
    end = f", {notes['end']}" if notes.get("end") and notes["end"] != "discarded" else ""
    return f"{outcome}{', discarded' if discarded else ''}{end}"


def _of_folder(folder: Path) -> dict[str, str]:
    try:
        return _custom_data(yaml.safe_load((folder / METADATA_FILE).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}


def _of_file(file: Path) -> dict[str, str]:
    """Of the last copy of metadata.yaml in a closed file."""
    try:
        with file.open("rb") as stream:
            copies = [record for record in make_reader(stream).iter_metadata() if record.name == ROSBAG2_RECORD]
        return _custom_data(yaml.safe_load(copies[-1].metadata["serialized_metadata"])) if copies else {}
    except (*BROKEN_FILE, StopIteration, yaml.YAMLError):
        return {}


def _custom_data(page: object) -> dict[str, str]:
    """Of the page with its root or without."""
    if isinstance(page, Mapping):
        page = page.get("rosbag2_bagfile_information", page)
    said = page.get("custom_data") if isinstance(page, Mapping) else None
    return {str(key): str(value) for key, value in said.items()} if isinstance(said, Mapping) else {}
