# SPDX-License-Identifier: Apache-2.0
"""A damaged dataset is refused with the file's name and what to do, never with a crash and never in silence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sample_data import write_sample

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.dataset import LeRobotDataset
from gr00t_policy.data.stored_statistics import stored_statistics

TABLE = "data/chunk-000/episode_000001.parquet"
VIDEO = "videos/chunk-000/observation.images.head/episode_000001.mp4"


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    return write_sample(tmp_path_factory.mktemp("sets") / "intact", [0, 1, 2])


@pytest.fixture
def root(intact, tmp_path):
    return Path(shutil.copytree(intact, tmp_path / "set"))


def change_json(path: Path, change: Callable[[Any], Any]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def change_table(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def replace_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def refused(root: Path, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        LeRobotDataset(root).validate()


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.float32())])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({4: slice(5), 6: slice(7)}, "row 4 has 5 values, most have 6"),
        ({0: slice(5), 1: slice(7)}, "row 0 has 5 values, most have 6"),
        ({12: slice(0)}, "row 12 has 0 values, most have 6"),
        ({5: None}, "row 5 has no values at all"),
    ],
    ids=["one value moved", "in the first rows", "the last one empty", "null"],
)
def test_rows_of_unequal_length_are_named_also_where_the_number_of_values_is_right(root, kind, spoil, message):
    """All rows between were shifted by a joint, and nobody said so."""

    def change(table: pa.Table) -> pa.Table:
        rows = [[*row, 0.0] for row in table["observation.state"].to_pylist()]
        lists = [None if spoil.get(i, 0) is None else row[spoil.get(i, slice(6))] for i, row in enumerate(rows)]
        return replace_column(table, "observation.state", pa.array(lists, kind))

    change_table(root / TABLE, change)
    refused(root, rf"000001\.parquet, column 'observation.state': rows differ in length: {message}")
    with pytest.raises(DatasetError, match=rf"000001\.parquet, column 'observation.state': .*{message}"):
        stored_statistics(LeRobotDataset(root).layout, 3, [])
    with pytest.raises(DatasetError, match=message):
        LeRobotDataset(root).stored_columns(1)


def test_the_undamaged_copy_is_fine(root):
    LeRobotDataset(root).validate()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
def test_a_truncated_table_is_named(root, share):
    cut(root / TABLE, share)
    refused(root, r"episode_000001\.parquet is damaged .*; delete this episode or write it again")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_video_is_named(root, share):
    cut(root / VIDEO, share)
    refused(root, r"episode_000001\.mp4 is not a readable video")


def test_a_video_damaged_inside_is_named_when_it_is_decoded(root):
    content = bytearray((root / VIDEO).read_bytes())
    start = content.index(b"mdat") + 4
    content[start : start + 400] = bytes(np.random.default_rng(0).integers(0, 256, 400, dtype=np.uint8))
    (root / VIDEO).write_bytes(content)
    with pytest.raises(DatasetError, match=r"episode_000001\.mp4"):
        LeRobotDataset(root).frames(1, "head", range(13))


@pytest.mark.parametrize("name", [TABLE, VIDEO, "meta/info.json", "meta/modality.json", "meta/tasks.jsonl"])
def test_a_missing_file_is_named(root, name):
    (root / name).unlink()
    refused(root, f"{Path(name).name} is missing")


@pytest.mark.parametrize("name", ["meta/info.json", "meta/modality.json", "meta/episodes.jsonl", "meta/tasks.jsonl"])
def test_a_meta_file_cut_short_is_named(root, name):
    cut(root / name, 0.6)
    refused(root, Path(name).name)


def test_a_folder_that_is_no_dataset_is_told_so(tmp_path):
    refused(tmp_path, "is .* a LeRobot dataset with meta/modality.json")


def test_a_state_of_another_width_than_announced_is_found(root):
    narrow = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(13 * 5, np.float32)), 5)
    change_table(root / TABLE, lambda table: replace_column(table, "observation.state", narrow))
    refused(root, r"000001\.parquet, column 'observation.state': info.json says 6 values per frame, the file has 5")


def test_rows_of_unequal_width_are_found(root):
    ragged = pa.array([[0.0] * 6] * 12 + [[0.0] * 5])
    change_table(root / TABLE, lambda table: replace_column(table, "action", ragged))
    refused(root, r"000001\.parquet, column 'action': rows differ in length")


def test_a_missing_column_is_found(root):
    change_table(root / TABLE, lambda table: table.drop_columns(["action"]))
    refused(root, r"000001\.parquet has no column 'action'; it has: ")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("action", pa.array(["left"] * 13), "holds string, not numbers"),
        ("observation.state", pa.array([["a"] * 6] * 13), "holds list<.*string>, not numbers"),
        ("timestamp", pa.array([[0.0, 0.05]] * 13), "info.json says 1 values per frame, the file has 2"),
        ("annotation.human.coarse_action", pa.array([None] * 13, pa.int64()), "task None is not in"),
        ("annotation.human.coarse_action", pa.array(["pick"] * 13), "task 'pick' is not in"),
    ],
)
def test_a_column_of_another_type_is_found(root, name, values, message):
    change_table(root / TABLE, lambda table: replace_column(table, name, values))
    refused(root, rf"000001\.parquet.*{message}")


def test_a_column_of_missing_numbers_is_found(root):
    column = pa.array([[None] * 6] * 13, pa.list_(pa.float32()))
    change_table(root / TABLE, lambda table: replace_column(table, "action", column))
    refused(root, "action holds NaN or infinity in frame 0")


def test_a_missing_video_is_named_also_when_only_its_frames_are_wanted(root):
    (root / VIDEO).unlink()
    dataset = LeRobotDataset(root)
    with pytest.raises(DatasetError, match=r"000001\.mp4 is missing"):
        dataset.frames(1, "head", [0])
    with pytest.raises(DatasetError, match=r"000001\.mp4 is missing"):
        next(dataset.iterate_frames(1, "head"))


@pytest.mark.parametrize(
    ("side", "entry", "message"),
    [
        ("state", {"start": 5, "end": 6, "rotation_type": "euler"}, "unknown rotation_type 'euler'; known: axis_angle"),
        ("state", {"start": 5, "end": 6, "absolute": "no"}, "absolute of state.waist cannot be 'no'"),
        ("state", {"start": True, "end": 2}, r"state.waist is \[True, 2\)"),
        ("action", {"start": 5, "end": 6, "original_key": "action.waist"}, "lies in 'action.waist', only 'action'"),
    ],
)
def test_a_key_described_wrongly_is_found(root, side, entry, message):
    change_json(root / "meta/modality.json", lambda value: value[side].update(waist=entry))
    refused(root, message)


@pytest.mark.parametrize("change", [{"fps": 0}, {"fps": "20"}, {"chunks_size": 0}, {"data_path": 3}, {"fps": 1e400}])
def test_a_number_or_path_of_info_json_that_makes_no_sense_is_found(root, change):
    change_json(root / "meta/info.json", lambda info: info.update(change))
    refused(root, f"info.json: .*{next(iter(change))}")


def test_a_missing_frame_is_found(root):
    change_table(root / TABLE, lambda table: table.slice(0, 10))
    refused(root, r"000001\.parquet has 10 frames, episodes.jsonl says 13")


def test_a_nan_is_found(root):
    bad = np.zeros((13, 6), np.float32)
    bad[7, 2] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(bad.ravel()), 6)
    change_table(root / TABLE, lambda table: replace_column(table, "action", column))
    refused(root, "action holds NaN or infinity in frame 7")


def test_times_that_do_not_fit_the_rate_are_found(root):
    change_json(root / "meta/info.json", lambda info: info.update(fps=25.0))
    refused(root, r"rows are 0\.0500 s apart, timestamps must be 0\.0400 s apart as fps 25 in info.json demands")


def test_times_that_jitter_by_a_tenth_of_a_frame_are_found_and_read_all_the_same(root):
    times_s = np.arange(13) / 20
    times_s[5] += 0.005
    change_table(root / TABLE, lambda table: replace_column(table, "timestamp", pa.array(times_s.astype(np.float32))))
    refused(root, r"000001\.parquet: timestamps are not 0\.0500 s apart as fps 20 in info.json demands")
    assert len(LeRobotDataset(root).episode(1)) == 13


def test_a_task_number_without_a_sentence_is_found(root):
    column = pa.array(np.full(13, 9))
    change_table(root / TABLE, lambda table: replace_column(table, "annotation.human.coarse_action", column))
    refused(root, "task 9 is not in")


def test_a_video_of_another_length_or_size_is_found(root):
    shutil.copy(root / VIDEO.replace("000001", "000000"), root / VIDEO)
    refused(root, r"000001\.mp4 has 12 frames, the episode 13")
    change_json(
        root / "meta/info.json", lambda info: info["features"]["observation.images.head"].update(shape=[64, 48, 3])
    )
    refused(root, r"is 64x48, info.json says 48x64")


@pytest.mark.parametrize(("start", "end"), [(5, 7), (-1, 2), (3, 3), (0, None), ("0", "2")])
def test_a_range_outside_the_vector_is_found(root, start, end):
    change_json(root / "meta/modality.json", lambda value: value["state"].update(waist={"start": start, "end": end}))
    refused(root, r"modality\.json: state\.waist is \[.*\), but 'observation.state' has 6 values")


def test_a_camera_without_a_video_feature_is_found(root):
    change_json(root / "meta/modality.json", lambda value: value["video"].update(wrist={"original_key": "nowhere"}))
    refused(root, "no video feature 'nowhere' for camera 'wrist'")


def test_an_unfinished_dataset_says_how_to_finish_it(root):
    with (root / "meta/episodes.jsonl").open("a") as file:
        file.write('{"episode_index": 3, "tasks": [], "length": 4}\n')
    refused(root, r"total_episodes 3, episodes.jsonl lists 4; the dataset was not finished: open it with LeRobotWriter")


def test_episodes_out_of_order_are_found(root):
    lines = (root / "meta/episodes.jsonl").read_text().splitlines()
    (root / "meta/episodes.jsonl").write_text("\n".join([lines[1], lines[0], lines[2]]) + "\n")
    refused(root, "episodes are not numbered 0 to 2 in order")


@pytest.mark.parametrize(
    "pattern",
    [
        "../{episode_index}.parquet",
        "/etc/{episode_index}",
        "{episode}.parquet",
        "{episode_index.__class__}",
        "{episode_index:0999999999d}",
        "{episode_index",
        "a\0{episode_index}",
    ],
)
def test_a_path_that_leads_out_of_the_folder_is_refused(root, pattern):
    change_json(root / "meta/info.json", lambda info: info.update(data_path=pattern))
    refused(root, r"info\.json: path .* (leads out of the dataset|cannot be filled in)")


def test_another_version_of_the_format_is_refused(root):
    change_json(root / "meta/info.json", lambda info: info.update(codebase_version="v3.0"))
    refused(root, r"version 'v3.0' cannot be read, only v2.0, v2.1")


def test_random_damage_to_a_meta_file_never_gives_another_error_than_ours(intact, tmp_path):
    rng = np.random.default_rng(0)
    root = Path(shutil.copytree(intact, tmp_path / "set"))
    for round_number in range(150):
        name = ("info.json", "modality.json", "episodes.jsonl", "tasks.jsonl")[round_number % 4]
        content = bytearray((intact / "meta" / name).read_bytes())
        for position in rng.integers(0, len(content), rng.integers(1, 4)):
            content[position] = rng.choice(np.frombuffer(b'"{}[],:0-x \xff', np.uint8))
        (root / "meta" / name).write_bytes(content)
        try:
            LeRobotDataset(root).episode(0)
        except DatasetError:
            pass
        finally:
            shutil.copy(intact / "meta" / name, root / "meta" / name)
