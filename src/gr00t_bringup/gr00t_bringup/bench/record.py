# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench record``: the recorder under its rated load, counted against what the senders say they sent."""

import json
import os
import shutil
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gr00t_bringup.fresh_folder import fresh_folder
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import cpu_seconds, cpu_shares, process_memory, this_machine
from gr00t_bringup.nodes import NODES, parameter_files
from gr00t_bringup.processes import ProcessGroup, StopPatience, node_command
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.bag import read_bag
from gr00t_policy.data.bag_metadata import read_metadata

_NAMESPACE = "bench_record"
_START_S = 60.0
_CLOSE_S = 30.0
_RECORDED, _SENT = "recorded", "sent.json"


@dataclass(frozen=True)
class RecordBenchConfig:
    """2 cameras of 60 kB at 30 Hz, 5 joint topics at 120 Hz, 0.3 MB of tokens at 10 Hz. Exit code 0: nothing was lost."""

    minutes: float = 1.0
    """time recorded"""
    out: Path = Path("out/bench_record")
    """folder for recorded/ with the bag, and logs/"""
    compression: str = "none"
    """of the bag's chunks: none or zstd"""
    keep_bag: bool = False
    """leave the bag behind"""
    json: Path | None = None
    """write the figures here"""

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= 24 * 60:
            raise ConfigError(f"minutes must be more than 0 and at most a day, got {self.minutes}")


@dataclass(frozen=True)
class TopicCount:
    """sent: by the publisher, from the first message of the bag on. recorded: in the bag."""

    topic: str
    sent: int
    recorded: int

    @property
    def lost(self) -> int:
        return self.sent - self.recorded


@dataclass(frozen=True)
class Recorded:
    """One run: bag, what the senders say, share of one core of each process, memory [MB] of the
    recorder, how long its alarm was on and what it said last."""

    bag: Path
    sent: dict[str, int]
    cores: dict[str, float]
    peak_mb: float
    elapsed_s: float
    alarm_s: float
    alarm: str


def run(config: RecordBenchConfig) -> int:
    """Record, count, print; 0 when no message is missing, 1 otherwise. Raises Gr00tError when it could not be measured."""
    fresh_folder(config.out, (_RECORDED, _SENT, "logs"))
    recorded = _record(config)
    counts = _count(recorded)
    facts = read_metadata(recorded.bag)["custom_data"]
    size_mb = sum(file.stat().st_size for file in recorded.bag.glob("*.mcap")) / 1e6
    result: dict[str, Any] = {
        "messages_sent": sum(count.sent for count in counts),
        "messages_lost": sum(count.lost for count in counts),
        "messages_lost_by_recorder": int(facts["messages_lost"]),
        "elapsed_s": round(recorded.elapsed_s, 2),
        "megabytes_per_s": round(size_mb / recorded.elapsed_s, 2),
        "recorder_cores": recorded.cores.get("recorder"),
        "load_cores": recorded.cores.get("load"),
        "recorder_peak_mb": round(recorded.peak_mb, 1),
        "queue_peak_bytes": int(facts["queue_peak_bytes"]),
        "alarm_s": recorded.alarm_s,
        "alarm": recorded.alarm,
        "topics": [{**asdict(count), "lost": count.lost} for count in counts],
        "load_average": list(os.getloadavg()),
        "machine": asdict(this_machine()),
    }
    _print(result, counts)
    if config.json is not None:
        write_json(config.json, result)
    if not config.keep_bag:
        shutil.rmtree(recorded.bag)
    return 0 if result["messages_lost"] == 0 else 1


def _record(config: RecordBenchConfig) -> Recorded:
    from gr00t_bringup.ros.recorder_client import READY, RECORDING, REVIEW, RecorderClient

    counts = (config.out / _SENT).absolute()
    with ProcessGroup(config.out / "logs", StopPatience()) as processes:
        processes.start("recorder", _recorder_command(config))
        load = [sys.executable, "-m", "gr00t_bringup.ros.record_load", str(counts)]
        processes.start("load", [*load, "--ros-args", "-r", f"__ns:=/{_NAMESPACE}"], essential=False)
        client = RecorderClient(processes.check, _NAMESPACE)
        try:
            client.wait(READY, _START_S)
            bag = Path(client.call("start"))
            client.wait(RECORDING, _START_S)
            print(f"recording for {config.minutes:g} min into {bag} ...", flush=True)
            before, began_s = cpu_seconds(), time.monotonic()
            while time.monotonic() - began_s < config.minutes * 60:
                processes.check()
                time.sleep(0.2)
            elapsed_s = time.monotonic() - began_s
            cores = cpu_shares(before, cpu_seconds(), processes.pids, elapsed_s)
            memory = process_memory(processes.pids["recorder"])
            alarm_s, alarm = round(client.alarm_s, 1), client.alarm
            processes.kill("load", signal.SIGINT)  # first: so that a message lost at the very end is missed too
            _wait_for(counts)
            client.call("stop")
            client.wait(REVIEW, _CLOSE_S)
            client.call("keep")
        finally:
            client.close()
    peak_mb = 0.0 if memory is None else memory.peak_mb
    return Recorded(bag, json.loads(counts.read_text()), cores, peak_mb, elapsed_s, alarm_s, alarm)


def _recorder_command(config: RecordBenchConfig) -> list[str]:
    from gr00t_bringup.ros.record_load import TOPICS

    (node,) = (node for node in NODES if node.name == "recorder")
    overrides = {
        "autostart": True,
        "folder": str((config.out / _RECORDED).absolute()),
        "instruction": "gr00t bench record",
        "compression": config.compression,
        "max_episode_s": 0.0,
        "required_topics": [topic.name for topic in TOPICS],
        "required_rates_hz": [topic.rate_hz for topic in TOPICS],
    }
    return node_command(node, parameter_files("gr1", "mujoco", "recorder"), overrides, _NAMESPACE)


def _wait_for(file: Path) -> None:
    deadline_s = time.monotonic() + _CLOSE_S
    while not (file.is_file() and file.read_text().endswith("}")):
        if time.monotonic() > deadline_s:
            raise ConfigError(f"the load did not say what it sent; see its log beside {file}")
        time.sleep(0.05)


def _count(recorded: Recorded) -> list[TopicCount]:
    """A sender numbers its messages from 1, so its count says how many there are from the first of the bag on."""
    entries = read_metadata(recorded.bag)["topics_with_message_count"]
    counted = {entry["topic_metadata"]["name"]: entry["message_count"] for entry in entries}
    found = []
    for topic, sent in sorted(recorded.sent.items()):
        first = next(read_bag(recorded.bag, [topic]), None)
        found.append(TopicCount(topic, sent - first.sequence + 1 if first else sent, counted.get(topic, 0)))
    return found


def _print(result: dict[str, Any], counts: list[TopicCount]) -> None:
    from rich.console import Console
    from rich.table import Table

    machine = this_machine()
    table = Table(title=f"{machine.cpu}, {machine.cores} cores", title_justify="left")
    for column in ("topic", "sent", "recorded", "lost"):
        table.add_column(column, justify="left" if column == "topic" else "right")
    for count in counts:
        table.add_row(count.topic, str(count.sent), str(count.recorded), str(count.lost))
    console = Console()
    console.print(table)
    console.print(
        f"lost {result['messages_lost']} of {result['messages_sent']} in {result['elapsed_s']} s "
        f"at {result['megabytes_per_s']} MB/s; the recorder itself counted {result['messages_lost_by_recorder']}"
    )
    console.print(
        f"recorder {result['recorder_cores']} cores, peak {result['recorder_peak_mb']} MB; "
        f"queue peak {result['queue_peak_bytes']} bytes; load {result['load_cores']} cores"
    )
    if result["alarm"]:
        console.print(f"the alarm was on for about {result['alarm_s']} s; last: {result['alarm']}")
