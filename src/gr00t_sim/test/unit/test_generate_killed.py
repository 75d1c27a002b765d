# SPDX-License-Identifier: Apache-2.0
"""``gr00t sim generate`` as a process that is killed in the middle: run again, it gives what an undisturbed run gives."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import psutil

from gr00t_policy.data.reader import LeRobotDataset
from gr00t_sim.generate import GenerateConfig, demonstrate, run

SEED = 40
_PROGRAM = """
from pathlib import Path
from gr00t_sim.generate import GenerateConfig, run
if __name__ == "__main__":
    run(GenerateConfig(task="lift_box", episodes=300, seed={seed}, picture_hz=5.0, workers=1, out=Path({out!r})))
"""


def test_a_killed_generation_goes_on_and_ends_as_one_that_was_not(tmp_path):
    out = tmp_path / "made"
    kept = tmp_path / ".made.shards" / "kept"
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM.format(seed=SEED, out=str(out)))
    with subprocess.Popen([sys.executable, program], stdout=subprocess.DEVNULL) as process:
        _wait(lambda: kept.is_dir() and any(not path.name.endswith(".part") for path in kept.iterdir()))
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    _wait(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    assert not out.exists()
    there = len([path for path in kept.iterdir() if not path.name.endswith(".part")])
    config = GenerateConfig(
        task="lift_box", episodes=there + 1, seed=SEED, picture_hz=5.0, workers=1, out=out, json=tmp_path / "made.json"
    )
    assert run(config) == 0
    assert not kept.parent.exists()
    said = json.loads((tmp_path / "made.json").read_text())
    assert (said["episodes"], said["made"]) == (there + 1, 1), "what was there is not made again"
    dataset = LeRobotDataset(out)
    wanted = [seed for seed in range(SEED, said["last_seed"] + 1) if str(seed) not in said["failed_seeds"]]
    assert [entry.info["seed"] for entry in dataset.episodes] == wanted
    for index in (0, there):  # of before the kill, of after it
        undisturbed = demonstrate(config.maker, wanted[index])
        one = _unpacked(undisturbed.files, tmp_path / str(index))
        for name in ("states", "actions"):
            np.testing.assert_array_equal(getattr(dataset.episode(index), name), getattr(one.episode(0), name))
        videos = [sorted(folder.rglob("*.mp4"))[at] for folder, at in ((out, index), (tmp_path / str(index), 0))]
        assert videos[0].read_bytes() == videos[1].read_bytes()


def _unpacked(files, folder):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return LeRobotDataset(folder)


def _wait(done, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
