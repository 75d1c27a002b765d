# SPDX-License-Identifier: Apache-2.0
"""A whole bag out of one that was cut off: every whole message, a new index, a new ``metadata.yaml``."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from mcap.records import Channel, Message, Metadata, Schema

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagMessage, BagWriter, mcap_files
from gr00t_policy.data.bag_metadata import DECIDED, METADATA_FILE, PENDING, REVIEW, ROSBAG2_RECORD, read_metadata
from gr00t_policy.data.bag_reading import bag_topic
from gr00t_teleop.recording.torn_file import TornFile

EPISODE_RECORD = "gr00t_episode"


@dataclass(frozen=True)
class FileRecovery:
    """One file of the bag. lost_bytes, damaged, orphans, complete: as in ``TornFile``."""

    name: str
    messages: int
    lost_bytes: int
    damaged: int
    orphans: int
    complete: bool


@dataclass
class Recovery:
    """What was restored: ``messages`` by topic into the bag ``out``. missing: the messages that the bag's old
    ``metadata.yaml`` speaks of and that were not found; 0 where there is none."""

    out: Path
    messages: Counter[str] = field(default_factory=Counter)
    files: list[FileRecovery] = field(default_factory=list)
    missing: int = 0

    @property
    def total(self) -> int:
        return sum(self.messages.values())

    @property
    def is_lossless(self) -> bool:
        """Whether all that the files hold was restored."""
        return not self.missing and not any(file.lost_bytes or file.damaged or file.orphans for file in self.files)


def recover_bag(bag: Path, out: Path | None = None) -> Recovery:
    """Write what is whole of ``bag`` (a folder or one file), which is only read, into the new bag ``out``.

    out: default is the name with '_recovered' behind it. Raises DatasetError when there is nothing to restore, or ``out``
    exists.
    """
    if not bag.exists():
        raise DatasetError(f"there is no bag {bag}")
    files = mcap_files(bag) if bag.is_dir() else [bag]
    out = out or bag.with_name(f"{bag.stem if bag.is_file() else bag.name}_recovered")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} exists already and is not empty; give another folder with --out, or remove it")
    copy = _Copy(Recovery(out))
    said = _described(bag) if bag.is_dir() else {}
    try:
        for file in files:
            copy.take(file)
    finally:
        copy.close({**_as_text(said.get("custom_data")), "recovered_from": str(bag)})
    if not copy.recovery.total:
        raise DatasetError(f"{bag} holds no whole message; nothing was written")
    copy.recovery.missing = max(_count(said.get("message_count")) - copy.recovery.total, 0)
    return copy.recovery


class _Copy:
    """The new bag; made when the first message is there."""

    def __init__(self, recovery: Recovery) -> None:
        self.recovery = recovery
        self._writer: BagWriter | None = None
        self._facts: dict[str, dict[str, str]] = {}
        self._custom_data: dict[str, str] = {}
        self._types: dict[str, str] = {}

    def take(self, file: Path) -> None:
        if self._writer is not None:
            self._writer.split()
        before, refused = self.recovery.total, 0
        with file.open("rb") as stream:
            torn = TornFile(stream, file.stat().st_size)
            for record in torn.records():
                if isinstance(record, Metadata):
                    self._remember(record)
                elif not self._write(*record):
                    refused += 1
        found = self.recovery.total - before
        lost = torn.lost_bytes, torn.damaged, torn.orphans + refused
        self.recovery.files.append(FileRecovery(file.name, found, *lost, torn.complete))

    def close(self, custom_data: dict[str, str]) -> None:
        """What waited for a judgement when its recorder died is kept, as it is at the end of one that did not."""
        if self._writer is not None:
            facts = {**self._facts.get(EPISODE_RECORD, {}), **self._custom_data, **custom_data}
            self._writer.close(facts | ({REVIEW: DECIDED} if facts.get(REVIEW) == PENDING else {}))

    def _remember(self, record: Metadata) -> None:
        if record.name == ROSBAG2_RECORD:
            self._custom_data |= _custom_data_of(record)
        else:
            self._facts.setdefault(record.name, dict(record.metadata))

    def _write(self, schema: Schema, channel: Channel, message: Message) -> bool:
        """False where the topic had another type before: one name is one type in a bag."""
        if self._writer is None:
            self._writer = BagWriter(self.recovery.out, records=self._facts)
        if channel.topic not in self._types:
            self._types[channel.topic] = schema.name
            self._writer.add_topic(bag_topic(channel, schema))
        if self._types[channel.topic] != schema.name:
            return False
        stamps = message.log_time, message.publish_time
        self._writer.write(BagMessage(channel.topic, message.data, *stamps, message.sequence))
        self.recovery.messages[channel.topic] += 1
        return True


def _described(bag: Path) -> dict[str, object]:
    """What a ``metadata.yaml`` says that is there and can be read."""
    if not (bag / METADATA_FILE).is_file():
        return {}
    try:
        return read_metadata(bag)
    except DatasetError:
        return {}


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _custom_data_of(record: Metadata) -> dict[str, str]:
    """What the copy of ``metadata.yaml`` inside a closed file says beside rosbag2's own facts."""
    try:
        said = yaml.safe_load(record.metadata.get("serialized_metadata", ""))
    except yaml.YAMLError:
        return {}
    return _as_text(said.get("custom_data")) if isinstance(said, dict) else {}


def _as_text(custom_data: object) -> dict[str, str]:
    return {str(key): str(value) for key, value in custom_data.items()} if isinstance(custom_data, dict) else {}
