# SPDX-License-Identifier: Apache-2.0
"""A few tokens over real DDS between two processes, with everything that is said to run beside them."""

import json

from gr00t_bringup.bench.tokens import TokenBenchConfig, run


def test_tokens_reach_the_head_and_every_step_of_their_way_is_measured(tmp_path, capsys):
    figures_file = tmp_path / "figures.json"
    config = TokenBenchConfig(
        sizes_mb=(0.1, 0.3), messages=4, transports=("nodes",), loads=("busy",), out=tmp_path / "out", json=figures_file
    )
    assert run(config) == 0
    (measured,) = json.loads(figures_file.read_text())["runs"]
    assert [row["rows"] for row in measured["figures"]] == [33, 98]
    for row in measured["figures"]:
        assert row["sent"] == 4 and row["lost"] == 0
        assert 0 < row["way_ms"]["p50"] < row["to_head_ms"]["p50"] < row["whole_ms"]["p50"] < 1000
        assert row["publish_ms"]["p50"] > 0 and row["to_head_ms"]["p99"] <= row["worst_ms"]
    assert min(measured["cores"][name] for name in ("busy_1", "busy_2", "camera", "receiver")) > 0
    assert set(measured["realtime"]) == {"sender", "receiver"}
    assert "publish to head p99, 0.3 MB bfloat16" in capsys.readouterr().out
