# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench teleop`` for a moment, with every process: the figures are there and no message is missing."""

import json

from gr00t_bringup.bench.teleop import TeleopBenchConfig, run
from gr00t_bringup.ros.record_load import CAMERAS
from gr00t_policy.data.bag_metadata import read_metadata


def test_a_person_who_drives_for_a_moment_is_measured(tmp_path, capsys):
    code = run(TeleopBenchConfig(duration_s=2.0, out=tmp_path / "bench", json=tmp_path / "figures.json", keep_bag=True))
    printed = capsys.readouterr().out
    assert code == (1 if "missed" in printed else 0)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert 1.0 < figures["headset_to_command_ms"]["p50"] < figures["headset_to_command_ms"]["p99"]
    assert 0.0 < figures["ik_ms"]["p50"] < figures["retargeter_tick_ms"]["p99"]
    assert figures["command_rate_hz"] > 60
    assert figures["samples_sent"] > 100
    assert figures["messages_lost_by_recorder"] == 0
    assert figures["machine"]["cores"] > 0 and len(figures["load_average"]) == 3
    assert "headset to command p50" in printed
    (bag,) = (tmp_path / "bench" / "recorded").glob("episode_*")
    entries = read_metadata(bag)["topics_with_message_count"]
    counted = {entry["topic_metadata"]["name"]: entry["message_count"] for entry in entries}
    assert figures["rated_cameras"]
    assert all(counted[f"/{camera.name}"] > 30 for camera in CAMERAS), counted
