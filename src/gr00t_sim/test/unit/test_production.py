# SPDX-License-Identifier: Apache-2.0
"""Seeds to one dataset: nothing lost, nothing twice, in the order of the seeds, whatever dies and whoever is faster."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from flushed import Flushed

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_sim.production.outcome import SeedOutcome, kept_episode
from gr00t_sim.production.produce import Order, produce
from gr00t_sim.production.store import open_store
from gr00t_sim.recording import Demonstration

ROBOT = load_embodiment("gr1")
JOINTS = len(ROBOT.policy_joints)


def made(seed: int) -> SeedOutcome:
    """Every third seed fails."""
    if seed % 3 == 2:
        return SeedOutcome(seed, "dropped", f"at {seed}")
    rows = np.full((3, JOINTS), seed, np.float32)
    image = np.zeros((224, 224, 3), np.uint8)
    record = Demonstration(
        f"do {seed}", seed, True, list(rows), list(rows), [image] * 3, [True] * 3, list(np.zeros((3, 4), np.float32))
    )
    return kept_episode(record, "stack", ROBOT, {})


def one_by_one(jobs, work, finished, died):
    for job in jobs:
        finished(work(job))


def three_at_once_the_last_first(jobs, work, finished, died):
    jobs = iter(jobs)
    while batch := [job for job in (next(jobs, None) for _ in range(3)) if job is not None]:
        for job in reversed(batch):
            finished(work(job))


@pytest.fixture
def order(tmp_path):
    return Order("making", tmp_path / "made", 10, 5, 50, {"task": "stack"}, "try more")


def seeds_of(folder):
    return [entry.info["seed"] for entry in LeRobotDataset(folder).episodes]


def test_the_first_seeds_that_succeed_are_kept_in_their_order_whoever_is_faster(order):
    _, summary = produce(order, made, one_by_one)
    assert seeds_of(order.out) == [10, 12, 13, 15, 16]
    assert (summary["episodes"], summary["attempts"], summary["failures"]) == (5, 7, {"dropped": 2})
    other = dataclasses.replace(order, out=order.out.with_name("other"))
    _, again = produce(other, made, three_at_once_the_last_first)
    assert seeds_of(other.out) == seeds_of(order.out)
    varying = ("seconds", "episodes_per_hour", "cpu_s", "cpu_s_per_episode", "made")
    assert {k: v for k, v in again.items() if k not in varying} == {
        k: v for k, v in summary.items() if k not in varying
    }
    rows = [LeRobotDataset(other.out).episode(index).actions[0, 0] for index in range(5)]
    assert rows == [10, 12, 13, 15, 16]


def test_an_order_that_was_cut_off_goes_on_and_does_no_seed_twice(order):
    done = []

    def interrupted(seed):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(seed)
        return made(seed)

    with pytest.raises(KeyboardInterrupt):
        produce(order, interrupted, one_by_one)
    assert not order.out.exists()

    def counted(seed):
        done.append(seed)
        return made(seed)

    produce(order, counted, one_by_one)
    assert done == [10, 11, 12, 13, 14, 15, 16]
    assert seeds_of(order.out) == [10, 12, 13, 15, 16]


def test_what_a_kill_left_half_written_is_done_again(order):
    with pytest.raises(DatasetError, match="only 2 of 5"):
        produce(dataclasses.replace(order, most_tries=3), made, one_by_one)
    folder = order.out.with_name(".made.shards")
    (folder / "kept" / "000000012").rename(folder / "kept" / "000000012.part")
    with (folder / "not_kept.jsonl").open("a") as file:
        file.write('{"seed": 14, "rea')
    produce(order, made, one_by_one)
    assert seeds_of(order.out) == [10, 12, 13, 15, 16]
    assert not folder.exists()


def test_an_episode_is_on_the_disk_with_all_its_folders_before_it_counts_as_kept(tmp_path, monkeypatch):
    """Its files were, the folders that name them were not."""
    flushed, rename, seen = Flushed(monkeypatch), os.replace, []

    def renaming(source: Path, target: Path) -> None:
        if target.name == "000000010":
            seen.extend((path, flushed.holds(path)) for path in [source, *source.rglob("*")])
        rename(source, target)

    monkeypatch.setattr(os, "replace", renaming)
    with open_store(tmp_path / "shards", {}) as store:
        store.add(made(10))
    assert len(seen) > 8
    assert [path for path, held in seen if not held] == []
    assert flushed.holds(tmp_path / "shards" / "kept")


def test_a_reason_with_another_line_separator_does_not_stop_an_order_from_going_on(order):
    """It was read as two lines, and nothing went on any more."""

    def separated(seed):
        return dataclasses.replace(made(seed), detail="before\u2028after")

    with pytest.raises(DatasetError, match="only 2 of 5"):
        produce(dataclasses.replace(order, most_tries=3), separated, one_by_one)
    produce(order, separated, one_by_one)
    assert seeds_of(order.out) == [10, 12, 13, 15, 16]


def test_episodes_made_with_something_else_are_not_mixed_in(order):
    with pytest.raises(DatasetError, match=r"only 2 of 5 episodes after 3 scenes \(dropped: 1\); try more"):
        produce(dataclasses.replace(order, most_tries=3), made, one_by_one)
    other = dataclasses.replace(order, made_with={"task": "lift_box"})
    with pytest.raises(DatasetError, match="task: stack there, lift_box here"):
        produce(other, made, one_by_one)
    note = order.out.with_name(".made.shards") / "made_with.json"
    assert json.loads(note.read_text()) == order.made_with


def test_a_folder_that_exists_is_left_alone(order):
    order.out.mkdir()
    with pytest.raises(DatasetError, match="exists already"):
        produce(order, made, one_by_one)


def test_what_a_kill_left_after_the_dataset_was_delivered_does_not_come_back_when_that_is_removed(order, monkeypatch):
    killed = KeyboardInterrupt()

    def cut(folder):
        raise killed

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("gr00t_sim.production.produce.shutil", SimpleNamespace(rmtree=cut))
        produce(order, made, one_by_one)
    assert seeds_of(order.out) == [10, 12, 13, 15, 16]
    shutil.rmtree(order.out)
    other = dataclasses.replace(order, made_with={"task": "stack", "code": "new"})
    cost, _ = produce(other, made, one_by_one)
    assert cost.made == 5, "all is made anew, whatever the old ones were made with"
    assert not order.out.with_name(".made.shards").exists()


def test_a_kill_just_before_the_dataset_is_delivered_loses_nothing(order, monkeypatch):
    def cut(source, target):
        if target == order.out:
            raise KeyboardInterrupt
        return os_replace(source, target)

    os_replace = os.replace
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.replace", cut)
        produce(order, made, one_by_one)
    assert not order.out.exists()
    cost, _ = produce(order, made, one_by_one)
    assert cost.made == 0 and seeds_of(order.out) == [10, 12, 13, 15, 16]
