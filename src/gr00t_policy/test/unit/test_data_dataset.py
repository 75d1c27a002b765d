# SPDX-License-Identifier: Apache-2.0
"""Datasets written, continued after a kill, joined and read back: real parquet and h264 files."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from flushed import Flushed
from sample_data import (
    add_sample,
    change_sentence,
    episode_arrays,
    moving_square,
    small_robot,
    square_column,
    write_sample,
)

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.dataset import LeRobotDataset, LeRobotWriter, merge_datasets
from gr00t_policy.data.video import VideoEncoding, read_frames, write_video

CAN, BALL, CUBE = "pick up the red can", "pick up the ball", "pick up the cube"
HEAD = "observation.images.head"


@pytest.fixture
def dataset(tmp_path):
    return LeRobotDataset(write_sample(tmp_path / "set", [0, 1, 2], [CAN, BALL, CAN]))


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_states_actions_tasks_and_extras_come_back_exactly(dataset):
    dataset.validate()
    for index, task in enumerate([CAN, BALL, CAN]):
        episode = dataset.episode(index)
        states, actions = episode_arrays(small_robot(), 12 + index, seed=index)
        assert np.array_equal(episode.states, states)
        assert np.array_equal(episode.actions, actions)
        assert episode.task == task
        assert episode.extras["goal"].shape == (12 + index, 2, 3)
        assert episode.extras["goal"][2, 1, 1] == 2 * 6 + 4 + index
        assert np.allclose(episode.timestamps_s, np.arange(12 + index) / 20)
    assert [entry.info for entry in dataset.episodes] == [{"seed": 0}, {"seed": 1}, {"seed": 2}]


def test_without_sentences_a_dataset_is_refused_or_read_with_the_one_given_and_what_is_said_counts(tmp_path):
    root = write_sample(tmp_path / "set", [0, 1], [CAN, BALL])
    assert [LeRobotDataset(root, default_task="stay").episode(index).task for index in range(2)] == [CAN, BALL]
    tasks = root / "meta" / "tasks.jsonl"
    tasks.write_text(tasks.read_text().replace(BALL, ""))
    assert LeRobotDataset(root, default_task="stay").episode(1).task == "", "an empty sentence is one, as in GR00T N1"
    modality = root / "meta" / "modality.json"
    modality.write_text(json.dumps(json.loads(modality.read_text()) | {"annotation": {}}))
    with pytest.raises(DatasetError, match="modality.json names no annotation: the dataset has no sentences"):
        LeRobotDataset(root)
    for index in range(2):
        path = root / "data" / "chunk-000" / f"episode_{index:06d}.parquet"
        pq.write_table(pq.read_table(path).drop_columns(["annotation.human.coarse_action"]), path)
    for groups, key in ((None, None), (["waist"], "annotation.human.coarse_action")):
        unsaid = LeRobotDataset(root, groups, key, default_task="stay")
        assert {unsaid.episode(index).task for index in range(2)} == {"stay"}


def test_each_row_has_its_own_sentence_where_the_annotation_changes_within_an_episode(tmp_path):
    """All rows had that of the first."""
    root = write_sample(tmp_path / "set", [0, 1], [CAN, BALL])
    change_sentence(root, 0, 7, 1)
    dataset = LeRobotDataset(root)
    dataset.validate()
    assert dataset.episode(0).sentences == (CAN,) * 7 + (BALL,) * 5
    assert dataset.episode(1).sentences == (BALL,) * 13
    assert dataset.episode(0).task == f"{CAN} / {BALL}"
    change_sentence(root, 0, 9, 5)
    with pytest.raises(DatasetError, match="episode_000000.parquet: task 5 is not in .*tasks.jsonl, row 9"):
        dataset.episode(0)


def test_frames_come_back_in_their_order_and_nearly_as_they_were(dataset):
    written = moving_square(14, seed=2)
    read = dataset.frames(2, "head")
    assert read.shape == written.shape
    assert [square_column(frame) for frame in read] == [square_column(frame) for frame in written]
    assert np.abs(read.astype(int) - written).mean() < 4


def test_the_same_frames_give_the_same_file_each_time(tmp_path):
    files = [tmp_path / f"{number}.mp4" for number in range(60)]
    for path in files:
        write_video(path, moving_square(15, seed=3), 20.0)
    assert len({path.read_bytes() for path in files}) == 1


def test_frames_at_indices_equal_those_decoded_from_the_start(tmp_path):
    robot = small_robot()
    with LeRobotWriter(tmp_path / "long", robot) as writer:
        add_sample(writer, 0, length=90)
        writer.finish()
    dataset = LeRobotDataset(tmp_path / "long")
    everything = dataset.frames(0, "head")
    chosen = [89, 3, 3, 50, 0, 51, 88]
    assert np.array_equal(dataset.frames(0, "head", chosen), everything[chosen])
    for index in (0, 9, 10, 11, 45, 89):
        assert np.array_equal(dataset.frames(0, "head", [index])[0], everything[index])
    with pytest.raises(DatasetError, match="has no frame 90"):
        dataset.frames(0, "head", [5, 90])


@pytest.mark.parametrize("interval", [1, 7, 40, 250])
def test_frames_do_not_depend_on_where_the_key_frames_lie(tmp_path, interval):
    path = tmp_path / "video.mp4"
    write_video(path, moving_square(100), 20.0, VideoEncoding(keyframe_interval=interval))
    everything, rng = read_frames(path), np.random.default_rng(interval)
    for count in (1, 2, 5, 30):
        chosen = rng.integers(0, 100, count)
        assert np.array_equal(read_frames(path, chosen), everything[chosen])


def test_the_meta_files_say_what_the_format_wants(dataset):
    root = dataset.layout.root
    info = json.loads((root / "meta/info.json").read_text())
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"], info["total_videos"]) == (3, 39, 2, 3)
    assert info["codebase_version"] == "v2.0"
    assert info["features"]["observation.images.head"]["shape"] == [48, 64, 3]
    assert info["features"]["observation.state"]["names"] == list(small_robot().policy_joint_names)
    assert info["features"]["goal"] == {"dtype": "float32", "shape": [2, 3], "names": None}
    modality = json.loads((root / "meta/modality.json").read_text())
    assert modality["state"] == {
        "left_arm": {"start": 0, "end": 3},
        "right_arm": {"start": 3, "end": 5},
        "waist": {"start": 5, "end": 6},
    }
    assert modality["video"] == {"head": {"original_key": "observation.images.head"}}
    assert modality["annotation"] == {"human.coarse_action": {}}
    tasks = [json.loads(line) for line in (root / "meta/tasks.jsonl").read_text().splitlines()]
    assert tasks == [{"task_index": 0, "task": CAN}, {"task_index": 1, "task": BALL}]


def test_the_table_has_the_columns_of_the_format(dataset):
    table = pq.read_table(dataset.layout.data(1))
    assert set(table.column_names) == {*dataset.info["features"]} - {"observation.images.head"}
    assert table["annotation.human.coarse_action"].to_pylist() == [1] * 13
    assert table["index"].to_pylist() == list(range(12, 25))
    assert table["frame_index"].to_pylist() == list(range(13))
    assert table["next.done"].to_pylist() == [False] * 12 + [True]
    assert table["observation.state"].type.list_size == 6


def test_stored_statistics_are_those_of_all_frames(dataset):
    stats = json.loads(dataset.layout.stats.read_text())
    for column, side in (("observation.state", "states"), ("action", "actions")):
        rows = np.concatenate([getattr(dataset.episode(index), side) for index in range(3)]).astype(np.float64)
        for name, expected in (
            ("min", rows.min(0)),
            ("max", rows.max(0)),
            ("mean", rows.mean(0)),
            ("std", rows.std(0)),
        ):
            assert np.allclose(stats[column][name], expected), name


def test_groups_select_and_order_the_columns(dataset):
    chosen = LeRobotDataset(dataset.layout.root, groups=["waist", "left_arm"])
    everything = dataset.episode(0).states
    assert np.array_equal(chosen.episode(0).states, everything[:, [5, 0, 1, 2]])
    with pytest.raises(DatasetError, match="no state group tail; it has: left_arm, right_arm, waist"):
        LeRobotDataset(dataset.layout.root, groups=["tail"])


def test_a_dataset_can_be_continued_later_as_if_never_closed(tmp_path):
    whole = write_sample(tmp_path / "whole", [0, 1, 2], [CAN, BALL, CAN])
    parts = write_sample(tmp_path / "parts", [0, 1], [CAN, BALL])
    with LeRobotWriter(parts, small_robot()) as writer:
        assert writer.num_episodes == 2
        assert add_sample(writer, 2, length=14, task=CAN) == 2
        writer.finish()
    assert tree(whole) == tree(parts)


def test_a_sentence_with_a_pasted_line_separator_is_one_line_for_reader_writer_and_merge(tmp_path):
    """Such files were split there: the whole dataset could neither be read nor continued."""
    sentences = ["one\u2028line", "one\u2029line", "one\u0085line", "one\nline"]
    root = write_sample(tmp_path / "set", [0, 1], sentences[:2])
    with LeRobotWriter(root, small_robot()) as writer:
        for index in (2, 3):
            add_sample(writer, index, task=sentences[index])
        assert writer.last_info["tasks"] == sentences[3:]
        writer.finish()
    for dataset in (LeRobotDataset(root), merge_datasets([root], tmp_path / "merged")):
        assert [dataset.episode(index).task for index in range(4)] == sentences
        assert [entry.tasks for entry in dataset.episodes] == [(sentence,) for sentence in sentences]


def test_rows_of_a_task_without_text_are_not_merged(tmp_path):
    """It ended in a KeyError that named no file."""
    root = write_sample(tmp_path / "set", [0])
    change_sentence(root, 0, 7, 1)
    with pytest.raises(DatasetError, match=r"episode_000000.parquet: a row's task has no text in .*tasks.jsonl \(1\)"):
        merge_datasets([root], tmp_path / "merged")


def test_an_episode_half_written_is_discarded_with_a_message(tmp_path, caplog):
    whole = write_sample(tmp_path / "whole", [0, 1])
    hurt = write_sample(tmp_path / "hurt", [0])
    with LeRobotWriter(hurt, small_robot()) as writer:
        layout = writer.layout
    shutil.copy(layout.video(0, HEAD), layout.video(1, HEAD))
    layout.data(1).with_name(".episode_000001.parquet.part").write_bytes(b"half")
    with layout.episodes.open("a") as file:
        file.write('{"episode_index": 1, "tas')
    with LeRobotWriter(hurt, small_robot()) as writer:
        assert writer.num_episodes == 1
        add_sample(writer, 1, length=13)
        writer.finish()
    assert "cut off" in caplog.text
    assert "not finished; deleted" in caplog.text
    assert tree(whole) == tree(hurt)


def test_every_episode_reported_as_added_survives_a_kill(tmp_path):
    program = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from sample_data import add_sample, small_robot\n"
        "from gr00t_policy.data.dataset import LeRobotWriter\n"
        "writer = LeRobotWriter(sys.argv[1], small_robot())\n"
        "for seed in range(10000):\n"
        "    add_sample(writer, seed, length=12 + seed)\n"
        "    sys.stdout.write(f'{seed}\\n'); sys.stdout.flush()\n"
    )
    root = tmp_path / "killed"
    command = [sys.executable, "-c", program, str(root), str(Path(__file__).parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout:
            added = int(line)
            if added == 6:
                process.send_signal(signal.SIGKILL)
                break
    with LeRobotWriter(root, small_robot()) as writer:
        assert writer.num_episodes >= added + 1
        count = writer.num_episodes
        add_sample(writer, count, length=12 + count)
        writer.finish()
    dataset = LeRobotDataset(root)
    dataset.validate()
    assert len(dataset.episodes) == count + 1


def test_two_writers_in_one_folder_are_refused(tmp_path):
    with LeRobotWriter(tmp_path, small_robot()), pytest.raises(DatasetError, match="own folder and merge"):
        LeRobotWriter(tmp_path, small_robot())
    LeRobotWriter(tmp_path, small_robot()).close()


def test_merged_shards_equal_one_writer_that_did_it_all(tmp_path):
    whole = write_sample(tmp_path / "whole", [0, 1, 2, 3], [CAN, BALL, CUBE, BALL])
    with LeRobotWriter(tmp_path / "first", small_robot()) as writer:
        add_sample(writer, 0, 12, CAN), add_sample(writer, 1, 13, BALL)
        writer.finish()
    with LeRobotWriter(tmp_path / "second", small_robot()) as writer:
        add_sample(writer, 2, 14, CUBE), add_sample(writer, 3, 15, BALL)
        writer.finish()
    before = tree(tmp_path / "first")
    merged = merge_datasets([tmp_path / "first", tmp_path / "second"], tmp_path / "out")
    merged.validate()
    expected = LeRobotDataset(whole)
    assert merged.info == expected.info
    assert merged.episodes == expected.episodes
    assert {merged.episode(index).task for index in range(4)} == {CAN, BALL, CUBE}
    for index in range(4):
        ours, theirs = merged.episode(index), expected.episode(index)
        assert ours.task == theirs.task
        assert np.array_equal(ours.states, theirs.states)
        assert np.array_equal(ours.extras["goal"], theirs.extras["goal"])
        shard, number = ("first", "second")[index // 2], index % 2
        written = LeRobotDataset(tmp_path / shard).layout.video(number, HEAD).read_bytes()
        assert merged.layout.video(index, HEAD).read_bytes() == written  # as it was, never encoded again
        tables = [pq.read_table(one.layout.data(index)) for one in (merged, expected)]
        assert tables[0].equals(tables[1])
    assert tree(tmp_path / "first") == before


def test_all_of_a_merged_dataset_is_on_the_disk_before_it_has_its_name_and_that_name_too(tmp_path, monkeypatch):
    """The names of linked videos were not, and their shards are deleted next."""
    shards = [write_sample(tmp_path / name, [seed]) for seed, name in enumerate(["first", "second"])]
    flushed, rename, seen = Flushed(monkeypatch), os.replace, []

    def renaming(source: Path, target: Path) -> None:
        if target == tmp_path / "sets" / "out":
            seen.extend(path for path in [source, *source.rglob("*")] if not flushed.holds(path))
            assert len(list(source.rglob("*.mp4"))) == 2
        rename(source, target)

    monkeypatch.setattr(os, "replace", renaming)
    (tmp_path / "sets").mkdir()
    merge_datasets(shards, tmp_path / "sets" / "out")
    assert seen == []
    assert flushed.holds(tmp_path / "sets")


def test_a_merge_that_cannot_be_done_leaves_nothing_behind(tmp_path):
    first, second = write_sample(tmp_path / "first", [0]), tmp_path / "second"
    with LeRobotWriter(second, small_robot({"left_arm": 4})) as writer:
        add_sample(writer, 0)
        writer.finish()
    with pytest.raises(DatasetError, match="column 'action' is"):
        merge_datasets([first, second], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(DatasetError, match="exists already"):
        merge_datasets([first], first)


def test_a_folder_of_another_robot_or_rate_is_not_continued(tmp_path):
    write_sample(tmp_path, [0])
    with (
        LeRobotWriter(tmp_path, small_robot(), fps=30) as writer,
        pytest.raises(DatasetError, match=r"fps 20\.0, this"),
    ):
        add_sample(writer, 1)
    robot = small_robot({"left_arm": 2})
    with LeRobotWriter(tmp_path, robot) as writer, pytest.raises(DatasetError, match="column 'action' is"):
        add_sample(writer, 1)
    dataset = LeRobotDataset(tmp_path)
    dataset.validate()
    assert len(dataset.episodes) == 1


BAD_EPISODES = {
    "states of another width": ({"states": np.zeros((12, 5))}, r"states: expected \(N, 6\) for 'small', got \(12, 5\)"),
    "actions of another length": ({"actions": np.zeros((11, 6))}, r"actions: expected shape \(12, 6\), got \(11, 6\)"),
    "a NaN": ({"actions": np.full((12, 6), np.nan)}, "actions hold NaN"),
    "images of another size": ({"images": {"head": np.zeros((12, 50, 64, 3), np.uint8)}}, "head: expected shape"),
    "one image missing": ({"images": {"head": moving_square(11)}}, "head: expected shape"),
    "images as floats": ({"images": {"head": np.zeros((12, 48, 64, 3))}}, "must be uint8 RGB, got float64"),
    "another camera": ({"images": {"wrist": moving_square(12)}}, r"camera\(s\) \['wrist'\] given, this dataset has"),
    "no sentence": ({"task": " "}, "task sentence is empty"),
    "a reserved column": ({"extra": {"index": np.zeros(12)}}, "extra column 'index' has a name the format keeps"),
    "an annotation": ({"extra": {"annotation.x": np.zeros(12)}}, "extra column 'annotation.x'"),
    "an extra of another length": ({"extra": {"goal": np.zeros(3)}}, "goal: expected shape"),
}


@pytest.mark.parametrize("what", BAD_EPISODES)
def test_an_episode_is_refused_whole_because_of(tmp_path, what):
    change, message = BAD_EPISODES[what]
    states, actions = episode_arrays(small_robot(), 12, 0)
    good = {"states": states, "actions": actions, "images": {"head": moving_square(12)}, "task": CAN, "extra": None}
    with LeRobotWriter(tmp_path, small_robot()) as writer:
        with pytest.raises(DatasetError, match=message):
            writer.add_episode(**{**good, **change})
        assert writer.add_episode(**good) == 0
        writer.finish()
    LeRobotDataset(tmp_path).validate()


def test_finishing_without_an_episode_says_so(tmp_path):
    with LeRobotWriter(tmp_path, small_robot()) as writer, pytest.raises(DatasetError, match="holds no episode"):
        writer.finish()
