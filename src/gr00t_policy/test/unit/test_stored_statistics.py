# SPDX-License-Identifier: Apache-2.0
"""What LeRobot wants of a dataset: statistics of every camera, and scalars where info.json says one value."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sample_data import add_sample, moving_square, small_robot, write_sample

from gr00t_policy.data.merge import merge_datasets
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.valid_rows import VALID, valid_rows
from gr00t_policy.data.writer import LeRobotWriter

HEAD = "observation.images.head"
ONE = small_robot({"waist": 1})
FLAGS = np.arange(12) % 3 > 0


def write_flags(root: Path, robot=ONE) -> Path:
    """Three episodes of a robot of one joint with a flag for every row."""
    with LeRobotWriter(root, robot) as writer:
        for seed in range(3):
            states = np.linspace(0, 1, 12 * len(robot.policy_joints), dtype=np.float32).reshape(12, -1) + seed
            flags = {VALID: FLAGS.astype(np.float32)[:, None]}
            writer.add_episode(states, -states, {"head": moving_square(12, seed)}, "look", flags)
        writer.finish()
    return root


def as_before(root: Path) -> Path:
    """Columns of one value a row as they were written once: lists of one."""
    for path in root.glob("data/*/*.parquet"):
        table = pq.read_table(path)
        for name in (VALID, "observation.state", "action"):
            values = pa.FixedSizeListArray.from_arrays(table[name].combine_chunks(), 1)
            table = table.set_column(table.column_names.index(name), name, values)
        pq.write_table(table, path)
    return root


def as_lerobot_reads(root: Path, episode: int) -> pa.Table:
    """Cast as LeRobot's loader does: shape (1,) is a scalar, another a list. Raises ArrowInvalid where that cannot be."""
    features = json.loads((root / "meta" / "info.json").read_text())["features"]
    kinds = {
        name: (pa.from_numpy_dtype(each["dtype"]), each) for name, each in features.items() if each["dtype"] != "video"
    }
    schema = pa.schema(
        [
            (name, kind if each["shape"] == [1] else pa.list_(kind, each["shape"][0]))
            for name, (kind, each) in kinds.items()
        ]
    )
    return pq.read_table(root / f"data/chunk-000/episode_{episode:06d}.parquet").select(schema.names).cast(schema)


def statistics(root: Path) -> dict:
    return json.loads((root / "meta" / "stats.json").read_text())


def test_statistics_of_a_camera_are_those_of_its_pictures(tmp_path):
    dataset = LeRobotDataset(write_sample(tmp_path, [0, 1, 2, 3]))
    pictures = np.concatenate([list(dataset.iterate_frames(index, "head")) for index in range(4)]) / 255
    stored = statistics(tmp_path)[HEAD]
    assert set(stored) == {"mean", "std", "min", "max", "q01", "q99"}, (
        "GR00T's loader computes all anew where one lacks"
    )
    found = {name: np.array(values) for name, values in stored.items()}
    assert {values.shape for values in found.values()} == {(3, 1, 1)}
    pixels = pictures.reshape(-1, 3)
    for name, expected in (("mean", pixels.mean(0)), ("std", pixels.std(0))):
        assert np.allclose(found[name].ravel(), expected, atol=0.01), name
    for name, expected in (("min", pixels.min(0)), ("max", pixels.max(0))):
        assert np.allclose(found[name].ravel(), expected, atol=0.05), f"{name} of a sample"
    assert (found["min"] >= 0).all() and (found["max"] <= 1).all()
    order = [found[name] for name in ("min", "q01", "q99", "max")]
    assert all((low <= high).all() for low, high in pairwise(order))


def test_joined_shards_have_the_statistics_of_all_their_pictures(tmp_path):
    whole = write_sample(tmp_path / "whole", [0, 1, 2, 3])
    shards = []
    for index in range(4):
        shards.append(tmp_path / f"shard_{index}")
        with LeRobotWriter(shards[-1], small_robot()) as writer:
            add_sample(writer, index, 12 + index)
            writer.finish()
    merge_datasets(shards, tmp_path / "joined")
    assert statistics(tmp_path / "joined") == statistics(whole)
    assert statistics(shards[0])[HEAD] != statistics(whole)[HEAD]


def test_one_value_a_row_is_a_scalar_as_lerobot_reads_it(tmp_path):
    table = as_lerobot_reads(write_flags(tmp_path / "one"), 0)
    assert table[VALID].to_pylist() == FLAGS.astype(float).tolist()
    assert as_lerobot_reads(write_flags(tmp_path / "six", small_robot()), 1)["action"].type.list_size == 6


def test_lists_of_one_as_they_were_written_before_are_read_the_same_and_joined_as_scalars(tmp_path):
    now, before = write_flags(tmp_path / "now"), as_before(write_flags(tmp_path / "before"))
    with pytest.raises(pa.ArrowNotImplementedError):
        as_lerobot_reads(before, 0)
    for index in range(3):
        one, other = (LeRobotDataset(root).episode(index) for root in (now, before))
        assert one.states.shape == other.states.shape == (12, 1)
        for name in ("states", "actions"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
        assert np.array_equal(valid_rows(one), FLAGS) and np.array_equal(valid_rows(other), FLAGS)
        assert one.extras[VALID].shape == other.extras[VALID].shape == (12,)
    LeRobotDataset(before).validate()
    joined = merge_datasets([before, now], tmp_path / "joined")
    assert all(as_lerobot_reads(tmp_path / "joined", index)[VALID].to_pylist() == FLAGS.tolist() for index in range(6))
    assert np.array_equal(joined.episode(1).states, joined.episode(4).states)
    assert statistics(tmp_path / "joined")["action"]["min"] == statistics(now)["action"]["min"]
