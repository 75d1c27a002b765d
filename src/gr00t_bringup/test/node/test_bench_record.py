# SPDX-License-Identifier: Apache-2.0
"""The recorder under its rated load for a moment: what the senders sent is what the bag holds."""

import json

import pytest

from gr00t_bringup.bench.record import RecordBenchConfig, Recorded, run
from gr00t_bringup.bench.record import _count as count_against_senders
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter


def test_no_message_of_the_rated_load_is_lost(tmp_path, capsys):
    code = run(RecordBenchConfig(minutes=0.03, out=tmp_path / "bench", json=tmp_path / "figures.json"))
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {topic["topic"].removeprefix("/bench_record/") for topic in figures["topics"]} >= {
        "joint_states",
        "camera/ego_view/image_raw/compressed",
        "conditioning_tokens",
    }
    assert figures["messages_sent"] > 600
    assert (code, figures["messages_lost"], figures["messages_lost_by_recorder"]) == (0, 0, 0), figures["topics"]
    assert figures["queue_peak_bytes"] > 0 and figures["recorder_cores"] > 0
    assert "lost" in capsys.readouterr().out
    assert not list((tmp_path / "bench").glob("**/episode_*")), "the bag goes unless it is to be kept"


def test_messages_missing_at_the_end_or_in_between_are_counted_as_lost(tmp_path):
    """The sender says 12; the bag begins with its third message, and lacks the fifth and the last two."""
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic(BagTopic("/t", "std_msgs/msg/String", "string data\n"))
        for sequence in (3, 4, 6, 7, 8, 9, 10):
            bag.write(BagMessage("/t", b"\0\1\0\0\1\0\0\0\0", sequence, sequence, sequence))
    (topic,) = count_against_senders(Recorded(tmp_path / "bag", {"/t": 12}, {}, 0.0, 1.0, 0.0, ""))
    assert (topic.sent, topic.recorded, topic.lost) == (10, 7, 3)


def test_a_duration_that_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="more than 0"):
        RecordBenchConfig(minutes=0.0)
