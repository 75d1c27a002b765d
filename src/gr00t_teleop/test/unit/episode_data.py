# SPDX-License-Identifier: Apache-2.0
"""Bags to cut and to kill: made messages, readers that are not ours, and a process that writes until it is killed."""

import struct
import sys
import time
from pathlib import Path

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader

from gr00t_policy.data.bag import BagLayout, BagMessage, BagTopic, BagWriter, OfferedQos, mcap_files
from gr00t_teleop.recording.bag_thread import BagThread

_HASH = "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"  # of std_msgs/msg/String
STRING = BagTopic("/language_command", "std_msgs/msg/String", "string data\n", (OfferedQos(depth=10),), _HASH)
STATE = BagTopic("/state", "std_msgs/msg/String", "string data\n", (OfferedQos(durability="transient_local"),))
EPISODE = {"instruction": "pick up the can", "operator": "Ada"}


def cdr(text: str) -> bytes:
    """A serialized std_msgs/String: encapsulation header, length with the closing zero, characters."""
    data = text.encode() + b"\0"
    return b"\x00\x01\x00\x00" + struct.pack("<I", len(data)) + data


def messages(count: int) -> list[BagMessage]:
    """Of two topics; every payload is found only once in a file."""
    names = (STRING.name, STATE.name)
    return [
        BagMessage(names[i % 2], cdr(f"<{i:05d}>" + "x" * (i * 7 % 90)), 10**18 + 1000 * i, 10**18, i)
        for i in range(count)
    ]


def write_bag(folder: Path, made: list[BagMessage], layout: BagLayout | None = None, close: bool = True) -> None:
    bag = BagWriter(folder, layout=layout or BagLayout(700), records={"gr00t_episode": EPISODE})
    bag.add_topic(STRING)
    bag.add_topic(STATE)
    for message in made:
        bag.write(message)
    if close:
        bag.close({**EPISODE, "outcome": "success"})
    else:
        bag.flush()


def counts_of_two_readers(folder: Path) -> tuple[int, int]:
    """Messages decoded by rosbags and by mcap with mcap-ros2-support, neither of which is ours."""
    with AnyReader([folder]) as reader:
        first = sum(len(reader.deserialize(raw, c.msgtype).data) >= 0 for c, _, raw in reader.messages())
    second = 0
    for file in mcap_files(folder):
        with file.open("rb") as stream:
            second += sum(1 for _ in make_reader(stream, decoder_factories=[DecoderFactory()]).iter_decoded_messages())
    return first, second


def main() -> None:
    """Write 500 messages a second, stamped with the clock, until killed."""
    thread = BagThread(BagWriter(Path(sys.argv[1])), queue_bytes=1 << 20)
    thread.put_topic(STRING)
    sys.stdout.write("writing\n")
    sys.stdout.flush()
    number = 0
    while True:
        number += 1
        thread.put(BagMessage(STRING.name, cdr(f"{number}"), time.time_ns(), time.time_ns(), number))
        time.sleep(0.002)


if __name__ == "__main__":
    main()
