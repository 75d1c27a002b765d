# SPDX-License-Identifier: Apache-2.0
"""``gr00t bag recover BAG``: a whole bag out of one that was cut off by a crash, a full disk or a power cut."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gr00t_bringup.json_file import write_json


@dataclass(frozen=True)
class BagRecoverConfig:
    """Restores every whole message. The bag itself is only read. Exit code 0: all that its files hold; 1: a part is lost."""

    bag: Annotated[Path, tyro.conf.Positional]
    """folder of the bag, or one of its .mcap files"""
    out: Path | None = None
    """folder of the new bag; default: the name with '_recovered' behind it"""
    json: Path | None = None
    """write what was restored here"""


def run(config: BagRecoverConfig) -> int:
    """Recover and say what was found; 0 when nothing is lost, 1 otherwise. Raises DatasetError when nothing is whole."""
    from gr00t_teleop.recording.recovery import recover_bag

    recovery = recover_bag(config.bag, config.out)
    for file in recovery.files:
        end = "closed properly" if file.complete else "was cut off"
        print(
            f"{file.name}: {end}; {file.messages} messages restored{_losses(file.lost_bytes, file.damaged, file.orphans)}"
        )
    for topic, count in sorted(recovery.messages.items()):
        print(f"  {count:8d}  {topic}")
    if recovery.missing:
        print(f"metadata.yaml speaks of {recovery.missing} messages more than were found")
    print(f"{recovery.total} messages in {recovery.out}")
    if config.json is not None:
        figures = {
            "out": str(recovery.out),
            "messages": dict(recovery.messages),
            "files": [asdict(file) for file in recovery.files],
            "missing": recovery.missing,
            "is_lossless": recovery.is_lossless,
        }
        write_json(config.json, figures)
    return 0 if recovery.is_lossless else 1


def _losses(lost_bytes: int, damaged: int, orphans: int) -> str:
    parts = [
        f"{lost_bytes} bytes at the end or in between are no whole message" if lost_bytes else "",
        f"{damaged} records are damaged" if damaged else "",
        f"{orphans} messages have no readable topic" if orphans else "",
    ]
    return "".join(f"; {part}" for part in parts if part)
