# SPDX-License-Identifier: Apache-2.0
"""A process killed while it replaces a checkpoint leaves the old or the new one, whole, under the name it always had."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from forked import Program
from small_checkpoint import save_small_checkpoint

from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.data import durable_folder
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.model.checkpoint_folder import model_type

_KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from gr00t_policy.data import durable_folder
from small_checkpoint import save_small_checkpoint

torch.set_num_threads(1)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def before(function):
    return lambda *given: die()

def after(function):
    def call(*given):
        function(*given)
        die()
    return call

folder, moment = Path(sys.argv[1]), sys.argv[2]
if moment.startswith("no exchange"):
    durable_folder._exchanged = lambda one, other: False
{
    "while it is written": lambda: setattr(durable_folder, "flush_all", before(durable_folder.flush_all)),
    "before the exchange": lambda: setattr(durable_folder, "_exchanged", before(durable_folder._exchanged)),
    "after the exchange": lambda: setattr(durable_folder, "_exchanged", after(durable_folder._exchanged)),
    "no exchange, between the renames": lambda: setattr(Path, "rename", after(Path.rename)),
}[moment]()
save_small_checkpoint(folder, seed=1)
"""
_AGAIN_AND_AGAIN = """
import itertools, sys
from pathlib import Path
import torch
from forked import Program
from small_checkpoint import save_small_checkpoint

torch.set_num_threads(1)
for seed in itertools.cycle((1, 0)):
    save_small_checkpoint(Path(sys.argv[1]), seed=seed)
    print(seed, flush=True)
"""

# Moment of the kill -> which is left under the name: 0 the one that was there, 1 the one that replaces it.
LEFT = {
    "while it is written": 0,
    "before the exchange": 0,
    "after the exchange": 1,
    "no exchange, between the renames": 1,
}


@pytest.fixture(scope="module")
def hashes(tmp_path_factory) -> tuple[str, str]:
    """Of the checkpoint that is there, and of the one that is to replace it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("both")
    old, new = (load_checkpoint(save_small_checkpoint(folder / str(seed), seed=seed)).hash for seed in (0, 1))
    assert old != new
    return old, new


@pytest.fixture(scope="module")
def killed(hashes, tmp_path_factory) -> dict[str, Path]:
    """Moment -> folder with what a process left that was killed at it, replacing the first checkpoint by the second."""
    folder = tmp_path_factory.mktemp("killed")
    places = {moment: folder / moment for moment in LEFT}
    for place in places.values():
        save_small_checkpoint(place / "checkpoint", seed=0)
    for moment, place in places.items():
        replacing = Program(_KILLED, (place / "checkpoint", moment), folder / f"program, {moment}")
        assert replacing.wait() == -signal.SIGKILL, replacing.said
    return places


@pytest.mark.parametrize("moment", LEFT)
def test_what_a_kill_leaves_is_read_and_replaced_as_ever(hashes, killed, moment):
    folder = killed[moment] / "checkpoint"
    assert folder.exists() == (moment != "no exchange, between the renames")
    assert load_checkpoint(folder).hash == hashes[LEFT[moment]]
    save_small_checkpoint(folder, seed=1)
    assert load_checkpoint(folder).hash == hashes[1]
    assert [path.name for path in folder.parent.iterdir()] == ["checkpoint"]


def test_a_process_killed_at_any_moment_leaves_one_of_the_two(hashes, tmp_path):
    folder = tmp_path / "checkpoint"
    for wait_s in (0.01, 0.06):
        replacing = Program(_AGAIN_AND_AGAIN, (folder,), tmp_path / "program")
        replacing.wait_for("\n0\n")  # it replaces one by the other
        time.sleep(wait_s)
        replacing.kill()
        assert load_checkpoint(folder).hash in hashes


def test_one_that_was_cut_off_is_found_by_whoever_asks_first_and_by_the_next_save(hashes, tmp_path):
    folder = save_small_checkpoint(tmp_path / "checkpoint", seed=0)
    old = tmp_path / ".checkpoint.old"
    folder.rename(old)
    assert model_type(folder) == "" and folder.is_dir() and not old.exists()
    folder.rename(old)
    assert load_checkpoint(folder).hash == hashes[0]
    folder.rename(old)
    save_small_checkpoint(folder, seed=1)
    assert load_checkpoint(folder).hash == hashes[1]
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        load_checkpoint(tmp_path / "another")


def test_a_file_system_without_exchange_gets_the_new_one_too(hashes, tmp_path, monkeypatch):
    monkeypatch.setattr(durable_folder, "_exchanged", lambda one, other: False)
    folder = save_small_checkpoint(tmp_path / "checkpoint", seed=0)
    assert load_checkpoint(save_small_checkpoint(folder, seed=1)).hash == hashes[1]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_link_to_a_checkpoint_is_replaced_and_what_it_led_to_stays(hashes, tmp_path):
    real = save_small_checkpoint(tmp_path / "real", seed=0)
    link = tmp_path / "checkpoint"
    link.symlink_to(real)
    for _ in range(2):
        save_small_checkpoint(link, seed=1)
    assert (load_checkpoint(link).hash, load_checkpoint(real).hash) == (hashes[1], hashes[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "real"]


def test_every_file_is_on_the_disk_before_the_old_checkpoint_goes(tmp_path, monkeypatch):
    folder = save_small_checkpoint(tmp_path / "checkpoint", seed=0)
    flushed: set[int] = set()
    sync, exchange = os.fsync, durable_folder._exchanged
    seen: list[bool] = []

    def noted(descriptor):
        flushed.add(os.fstat(descriptor).st_ino)
        sync(descriptor)

    def exchanging(aside, there):
        paths = [aside, *aside.rglob("*")]
        assert len(paths) > 8
        seen.append({path.stat().st_ino for path in paths} <= flushed)
        return exchange(aside, there)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(durable_folder, "_exchanged", exchanging)
    save_small_checkpoint(folder, seed=1)
    assert seen == [True]


def test_a_copy_in_the_folder_where_one_stands_is_read(tmp_path, monkeypatch):
    """The folder "." has no name of which a neighbour's could be made."""
    save_small_checkpoint(tmp_path / "checkpoint", seed=0)
    monkeypatch.chdir(tmp_path / "checkpoint")
    assert load_checkpoint(".").hash == load_checkpoint(tmp_path / "checkpoint").hash
    shutil.rmtree(tmp_path / "checkpoint")
