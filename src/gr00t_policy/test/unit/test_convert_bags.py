# SPDX-License-Identifier: Apache-2.0
"""Conversion as a whole: what is kept, going on after a kill, and training on the result."""

import multiprocessing
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sample_bags import Story, write_bag
from sample_data import small_robot
from small_checkpoint import save_small_checkpoint

from gr00t_policy.core.embodiment import Camera, load_embodiment
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag_identity import bag_identity
from gr00t_policy.data.convert_bags import BagReport, Conversion, convert_bags
from gr00t_policy.data.convert_source import TopicNames, episode_notes, find_bags
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.video import read_frames
from gr00t_policy.training import finetune
from gr00t_policy.training.finetune import FinetuneConfig

ROBOT = small_robot()
CONVERSION = Conversion(ROBOT)


def convert(bags: list[Path], out: Path, **changes) -> list[BagReport]:
    return list(convert_bags(bags, out, replace(CONVERSION, **changes)))


def test_the_same_bags_again_add_nothing_and_a_new_one_is_added(tmp_path):
    bags = [write_bag(tmp_path / f"bag_{seed}", ROBOT, Story(1.6, seed=seed)) for seed in range(2)]
    first, out = convert(bags, tmp_path / "data"), tmp_path / "data"
    before = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    assert [report.outcome for report in convert(bags, out)] == ["known", "known"]
    assert {path: path.read_bytes() for path in before} == before
    moved = shutil.move(bags[0], tmp_path / "elsewhere")
    new = write_bag(tmp_path / "bag_2", ROBOT, Story(1.6, seed=2))
    assert [report.outcome for report in convert([moved, new, bags[1]], out)] == ["known", "converted", "known"]
    assert len(first) == 2
    assert len(LeRobotDataset(out).episodes) == 3
    LeRobotDataset(out).validate()


def test_a_conversion_killed_at_any_moment_goes_on_without_loss_or_doubling(tmp_path):
    """Killed again and again, a little later each time; the result equals that of a conversion left alone."""
    stories = [Story(3.2, sentences=((0.0, f"first {seed}"), (1.6, f"then {seed}")), seed=seed) for seed in range(3)]
    bags = [write_bag(tmp_path / f"bag_{story.seed}", ROBOT, story) for story in stories]
    convert(bags, tmp_path / "whole")
    context, killed = multiprocessing.get_context("fork"), 0
    for attempt in range(12):
        process = context.Process(target=convert, args=(bags, tmp_path / "killed"))
        process.start()
        process.join(0.02 * 1.4**attempt)
        killed += process.exitcode is None
        process.kill()
        process.join()
    assert killed >= 3
    convert(bags, tmp_path / "killed")
    whole, again = LeRobotDataset(tmp_path / "whole"), LeRobotDataset(tmp_path / "killed")
    assert again.episodes == whole.episodes
    assert len(again.episodes) == 6
    for path in sorted((tmp_path / "whole").rglob("episode_*")) + sorted((tmp_path / "whole").glob("meta/*")):
        same = tmp_path / "killed" / path.relative_to(tmp_path / "whole")
        assert same.read_bytes() == path.read_bytes() or np.array_equal(read_frames(same), read_frames(path)), path
    assert not list((tmp_path / "killed").rglob("*.part"))
    again.validate()


@pytest.mark.parametrize(
    ("notes", "outcome"),
    [
        ({"outcome": "success", "kept": "true"}, "converted"),
        ({"outcome": "failure"}, "skipped"),
        ({"outcome": "", "kept": "false"}, "skipped"),
        ({"end": "discarded"}, "skipped"),
        ({"embodiment": "gr1"}, "refused"),
        ({"review": "pending"}, "skipped"),
        ({"snapshot_s": "10"}, "skipped"),
        ({"review": "decided"}, "converted"),
        ({"anything": "else"}, "converted"),
    ],
)
def test_what_the_recorder_noted_decides(tmp_path, notes, outcome):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(1.6), notes=notes)
    (report,) = convert([bag], tmp_path / "data")
    assert report.outcome == outcome
    if outcome == "skipped":
        assert convert([bag], tmp_path / "data", all_outcomes=True)[0].outcome == "converted"


def test_notes_that_cannot_be_read_say_nothing(tmp_path):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(0.1), notes={"kept": "false"})
    assert not episode_notes(bag).kept
    for text in ("", "[1, 2]", "rosbag2_bagfile_information: {custom_data: 5}", "a: b: c", "\0"):
        (bag / "metadata.yaml").write_text(text)
        assert episode_notes(bag).kept
    (bag / "metadata.yaml").write_text("rosbag2_bagfile_information: {custom_data: {kept: false, outcome: null}}")
    assert (episode_notes(bag).kept, episode_notes(bag).outcome) == (False, "")


@pytest.mark.parametrize("said", [True, False], ids=["said", "noted"])
def test_a_bag_whose_only_sentence_the_planner_would_not_take_is_saved_by_another_one(tmp_path, said):
    """A pasted line separator, which nobody sees."""
    sentence, out = "pick up\u2028the red can", tmp_path / "data"
    story = Story(1.6, sentences=((0.0, sentence),) if said else ())
    bag = write_bag(tmp_path / "bag", ROBOT, story, notes={"instruction": sentence})
    (report,) = convert([bag], out)
    assert report.outcome == "refused"
    assert "the sentence 'pick up\\u2028the red can' has control characters" in report.detail
    assert report.detail.endswith("give another with --instruction")
    (report,) = convert([bag], out, instruction="pick up the red can")
    assert [(episode["tasks"], episode["length"] > 20) for episode in report.episodes] == [
        (["pick up the red can"], True)
    ]


def test_a_sentence_that_was_taken_back_before_the_recording_leaves_the_noted_one_in_force(tmp_path):
    story = Story(
        1.6, sentences=((-60.0, ""), (0.8, " "))
    )  # latched: the recorder writes it at the begin of each episode
    report = convert([write_bag(tmp_path / "0", ROBOT, story, notes={"instruction": "noted"})], tmp_path / "data")[0]
    assert [(episode["tasks"], episode["length"] > 20) for episode in report.episodes] == [(["noted"], True)], (
        report.detail
    )


def test_the_sentence_comes_from_the_topic_then_the_notes_then_the_option(tmp_path):
    silent = Story(1.6, sentences=())
    notes = {"instruction": "noted"}
    bags = [
        write_bag(tmp_path / "0", ROBOT, Story(1.6, sentences=((0.0, "said"),)), notes=notes),
        write_bag(tmp_path / "1", ROBOT, replace(silent, seed=1), notes=notes),
        write_bag(tmp_path / "2", ROBOT, replace(silent, seed=2)),
    ]
    reports = convert(bags, tmp_path / "data", instruction="typed")
    assert [report.episodes[0]["tasks"] for report in reports] == [["said"], ["noted"], ["typed"]]
    assert [report.detail for report in reports] == [
        "the recorder noted 'noted', but 'said' was said and counts",
        "",
        "",
    ]


def test_bags_are_found_in_a_folder_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 1):
        write_bag(tmp_path / f"episode_{number}", ROBOT, Story(0.1))
    found = find_bags([tmp_path, tmp_path / "episode_9", tmp_path / "episode_1" / "episode_1_0.mcap"])
    assert [bag.name for bag in found] == ["episode_1", "episode_9", "episode_10"]
    copy = shutil.copytree(found[0], tmp_path / "a copy")
    assert bag_identity(copy) == bag_identity(found[0])
    assert len({bag_identity(bag) for bag in found}) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fps": 10.0}, "has fps 20.0, this conversion 10.0"),
        ({"robot": small_robot(name="other")}, "has robot_type 'small', this conversion 'other'"),
        ({"topics": TopicNames(action="teleop/joint_trajectory")}, "was converted with topics"),
    ],
)
def test_a_folder_of_something_else_is_refused_before_anything_is_read(tmp_path, changes, said):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(1.6))
    convert([bag], tmp_path / "data")
    with pytest.raises(DatasetError, match=said.replace("(", r"\(")):
        convert([tmp_path / "never looked at"], tmp_path / "data", **changes)
    LeRobotDataset(tmp_path / "data").validate()


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.png").touch()
    with pytest.raises(DatasetError, match="not empty"):
        convert([], tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["holiday.png"]


def test_a_network_trains_on_a_converted_dataset(tmp_path):
    robot = load_embodiment("gr1")
    robot = replace(robot, cameras=(Camera("ego_view", 64, 48, 20.0, "head"),))
    bags = [write_bag(tmp_path / f"bag_{seed}", robot, Story(1.6, seed=seed)) for seed in range(2)]
    reports = list(convert_bags(bags, tmp_path / "data", Conversion(robot)))
    assert [report.outcome for report in reports] == ["converted", "converted"], reports
    init = save_small_checkpoint(tmp_path / "init")
    config = FinetuneConfig(
        dataset=tmp_path / "data", init=init, out=tmp_path / "run", hold_out=(1,), steps=2, batch=2, threads=1
    )
    assert finetune.run(config) == 0
    assert (tmp_path / "run" / "checkpoint" / "model.safetensors").is_file()
    columns = pq.read_schema(tmp_path / "data" / "data" / "chunk-000" / "episode_000000.parquet").names
    assert sum(name.startswith("annotation") for name in columns) == 1
