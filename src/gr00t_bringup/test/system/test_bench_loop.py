# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench loop`` for a moment, with every process: the figures are there, and those that count one thing agree."""

import json

from gr00t_bringup.cli import main


def test_a_short_run_of_the_real_stack_is_measured_and_both_counts_of_missed_commands_are_there(
    checkpoint, sentence, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "160")
    options = ["--duration-s", "4", "--say", sentence, "--checkpoint", str(checkpoint)]
    options += ["--out", str(tmp_path / "run"), "--json", str(tmp_path / "loop.json")]
    assert main(["bench", "loop", *options]) == 0, capsys.readouterr().out
    printed, found = capsys.readouterr().out, json.loads((tmp_path / "loop.json").read_text())
    assert 100 < found["ticks"] < 900
    assert 0 <= found["deadline_misses"] <= found["ticks"]
    assert found["deadline_miss_fraction"] == found["deadline_misses"] / found["ticks"]
    # They need not be equal: a command that came late was sent, and one that was held back is none of the loop's.
    assert found["command_gaps"]["missed"] >= 0 and found["command_gaps"]["longest_ms"] > 8
    assert f"{found['deadline_misses']} of {found['ticks']} due" in printed
    assert ("0 (SCHED_FIFO)" if found["realtime_scheduling"] else "<= 0.5 (ordinary scheduling)") in printed
    lateness = found["wake_up_lateness_ms"]
    assert 0 < lateness["p50"] <= lateness["p99"]
    assert not (tmp_path / "run" / "bag").exists(), "the bag goes unless it is to be kept"
