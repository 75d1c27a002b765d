# SPDX-License-Identifier: Apache-2.0
"""A short soak of the real stack: every figure is there, nothing is left behind, and a limit that is exceeded fails it."""

import json

from gr00t_bringup.bench.vital_signs import HANDLES, MEMORY, THREADS
from gr00t_bringup.cli import main
from gr00t_bringup.nodes import nodes_for


def test_a_short_soak_of_the_real_stack_has_every_figure_and_no_leak_of_handles(checkpoint, tmp_path, capsys):
    options = ["--minutes", "0.2", "--period-s", "0.3", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "run")]
    options += ["--json", str(tmp_path / "soak.json"), "--plot", str(tmp_path / "soak.png")]
    options += [
        "--limits.memory-mb",
        "100000",
        "--limits.misses-percent",
        "100000",
    ]  # seconds after a start, on any machine
    assert main(["bench", "soak", *options]) == 0, capsys.readouterr().out
    found = json.loads((tmp_path / "soak.json").read_text())
    assert found["failures"] == []
    names = [node.name for node in nodes_for("mujoco")]
    assert {f"{figure}/{name}" for figure in (MEMORY, HANDLES, THREADS) for name in names} <= set(found["trends"])
    assert max(rate for rate in found["series"]["control_rate_hz"] if rate is not None) > 60
    assert len(found["series"]["time_s"]) >= 30
    assert len((tmp_path / "run" / "samples.jsonl").read_text().splitlines()) == len(found["series"]["time_s"])
    assert (tmp_path / "soak.png").stat().st_size > 10_000
