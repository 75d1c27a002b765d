# SPDX-License-Identifier: Apache-2.0
"""A disk that is full while demonstrations are made: one error that says where and what to do, and nothing is made twice.

The kernel's limit on the size of a file stands in for it: it fails a write in the same place.
"""

import json
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_sim import generate
from gr00t_sim.generate import GenerateConfig, demonstrate, run
from gr00t_sim.generation_rate import Work
from gr00t_sim.production.outcome import SeedOutcome
from gr00t_sim.production.produce import Order, produce
from gr00t_sim.production.store import SeedStore

_PROGRAM = """
import resource, signal, sys
from gr00t_bringup.cli import main
from gr00t_sim.production.store import SeedStore
add = SeedStore.add
def adding(self, outcome):
    if self.outcomes:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    add(self, outcome)
SeedStore.add = adding
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@contextmanager
def files_of_at_most(size_bytes):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)


def test_the_command_ends_in_one_line_and_goes_on_when_there_is_room(tmp_path):
    out, program, summary = tmp_path / "made", tmp_path / "program.py", tmp_path / "made.json"
    program.write_text(_PROGRAM)
    words = ["sim", "generate", "--task", "lift_box", "--episodes", "2", "--seed", "40", "--picture-hz", "5"]
    words += ["--workers", "1", "--out", str(out), "--json", str(summary)]
    full = subprocess.run([sys.executable, program, *words], capture_output=True, text=True, timeout=110, check=False)
    assert full.returncode == 2, full.stderr
    assert len(full.stderr.splitlines()) == 1 and "Traceback" not in full.stdout
    assert f"{tmp_path / '.made.shards'} cannot be written" in full.stderr and "make room" in full.stderr
    assert not out.exists()
    config = GenerateConfig(task="lift_box", episodes=2, seed=40, picture_hz=5.0, workers=1, out=out, json=summary)
    assert run(config) == 0
    assert json.loads(summary.read_text())["made"] == 1, "what was finished is not made again"
    assert len(LeRobotDataset(out).episodes) == 2


@pytest.fixture(scope="module")
def episode(tmp_path_factory) -> SeedOutcome:
    """The files of a real episode."""
    out = tmp_path_factory.mktemp("one") / "set"
    run(GenerateConfig(task="lift_box", episodes=1, seed=40, picture_hz=5.0, workers=1, out=out))
    paths = [path for path in out.rglob("*") if path.is_file()]
    return SeedOutcome(40, files={path.relative_to(out).as_posix(): path.read_bytes() for path in paths})


def one_by_one(jobs, work, finished, died):
    for job in jobs:
        finished(work(job))


def test_a_disk_that_is_full_when_episodes_are_joined_leaves_them_and_nothing_half_joined(
    episode, tmp_path, monkeypatch
):
    order = Order("making", tmp_path / "made", 40, 1, 5, {"task": "lift_box"}, "try more")
    merged = SeedStore.merged

    def full(self, seeds, out, made_with):
        with files_of_at_most(1024):
            return merged(self, seeds, out, made_with)

    monkeypatch.setattr(SeedStore, "merged", full)
    with pytest.raises(DatasetError, match=r"\.made\.shards cannot be written.*finished episodes are kept there"):
        produce(order, lambda _: episode, one_by_one)
    assert [path.name for path in tmp_path.iterdir()] == [".made.shards"]
    monkeypatch.undo()
    cost, _ = produce(order, lambda _: episode, one_by_one)
    assert cost.made == 0 and len(LeRobotDataset(order.out).episodes) == 1


def test_a_summary_that_cannot_be_written_is_one_error_beside_the_finished_dataset(tmp_path, monkeypatch, capsys):
    made = Work(made=1, attempts=1, seconds=1.0, cpu_s=1.0), {"episodes": 1, "frames": 90}
    monkeypatch.setattr(generate, "produce", lambda *_: made)
    with pytest.raises(ConfigError, match="cannot be written .*all else is done.*another file in --json"):
        run(GenerateConfig(task="lift_box", episodes=1, out=tmp_path / "made", json=tmp_path))
    assert "1 episodes, 90 frames" in capsys.readouterr().out


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    order = Order("making", tmp_path / "file" / "made", 40, 1, 5, {"task": "lift_box"}, "try more")
    with pytest.raises(DatasetError, match=r"file/\.made\.shards cannot be written"):
        produce(order, lambda seed: SeedOutcome(seed, "dropped"), one_by_one)


def test_a_worker_s_full_temporary_folder_is_named(tmp_path, monkeypatch):
    config = GenerateConfig(task="lift_box", episodes=1, seed=40, picture_hz=5.0, workers=1, out=tmp_path / "made")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with files_of_at_most(1024), pytest.raises(DatasetError, match=f"seed 40 cannot be written in {tmp_path}.*TMPDIR"):
        demonstrate(config.maker, 40)
