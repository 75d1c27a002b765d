# SPDX-License-Identifier: Apache-2.0
"""A recording that is judged after its conversion is the same recording: it is neither taken twice nor lost."""

import json
from pathlib import Path

import pytest
from sample_bags import Story, cut_short, write_bag
from sample_data import small_robot

from gr00t_policy.data.bag import BagLayout, BagWriter, mcap_files
from gr00t_policy.data.bag_identity import bag_identity, known_identities
from gr00t_policy.data.bag_metadata import ROSBAG2_RECORD, read_metadata, to_yaml, write_metadata
from gr00t_policy.data.bag_reading import bag_topics, read_bag
from gr00t_policy.data.convert_bags import BagReport, Conversion, convert_bags
from gr00t_policy.data.mcap_append import append_metadata
from gr00t_policy.data.reader import LeRobotDataset

ROBOT = small_robot()


def convert(bag: Path, out: Path) -> BagReport:
    (report,) = convert_bags([bag], out, Conversion(ROBOT))
    return report


def judge(bag: Path, **facts: str) -> None:
    """As the recorder does when somebody has decided."""
    metadata = read_metadata(bag)
    metadata["custom_data"] = {**(metadata["custom_data"] or {}), **facts}
    write_metadata(bag, metadata)
    append_metadata(mcap_files(bag)[-1], ROSBAG2_RECORD, {"serialized_metadata": to_yaml(metadata)})


def test_a_bag_that_is_judged_after_its_conversion_is_known_and_what_was_judged_is_told(tmp_path):
    bag, out = write_bag(tmp_path / "bag", ROBOT, Story(1.6)), tmp_path / "data"
    assert convert(bag, out).outcome == "converted"
    judge(bag, outcome="success")
    assert (convert(bag, out).outcome, convert(bag, out).detail) == ("known", "")
    judge(bag, outcome="failure")
    report = convert(bag, out)
    assert report.outcome == "known" and "although it was judged a failure" in report.detail
    assert len(LeRobotDataset(out).episodes) == 1


def test_a_bag_in_review_is_left_out_with_a_word_until_it_is_kept(tmp_path):
    bag, out = write_bag(tmp_path / "bag", ROBOT, Story(1.6), notes={"review": "pending"}), tmp_path / "data"
    report = convert(bag, out)
    assert report.outcome == "skipped" and "it is in review: keep or discard it first" in report.detail
    judge(bag, review="decided", outcome="success")
    assert convert(bag, out).episodes[0]["outcome"] == "success"


def test_a_dataset_converted_before_judging_left_the_identity_alone_is_gone_on_with(tmp_path):
    bag, out = write_bag(tmp_path / "bag", ROBOT, Story(1.6), notes={"outcome": "success"}), tmp_path / "data"
    convert(bag, out)
    now, former = known_identities(bag)
    lines = out / "meta" / "episodes.jsonl"
    (line,) = [json.loads(text) for text in lines.read_text().splitlines()]
    assert line["bag_id"] == now != former
    lines.write_text(json.dumps(line | {"bag_id": former}) + "\n")
    assert convert(bag, out).outcome == "known"


def test_the_identity_is_of_all_files_and_changes_with_the_last_message(tmp_path):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(1.6))
    identities = set()
    for name, dropped in (("whole", 0), ("shorter", 1)):
        messages = list(read_bag(bag))
        with BagWriter(tmp_path / name, layout=BagLayout(split_bytes=50_000)) as split:
            for topic in bag_topics(bag).values():
                split.add_topic(topic)
            for message in messages[: len(messages) - dropped]:
                split.write(message)
        assert len(mcap_files(tmp_path / name)) > 2
        before = bag_identity(tmp_path / name)
        judge(tmp_path / name, outcome="success")
        assert bag_identity(tmp_path / name) == before
        identities.add(before)
    assert len(identities) == 2


@pytest.mark.parametrize(("outcome", "becomes"), [("failure", "skipped"), ("success", "refused")])
def test_what_is_noted_of_a_bag_that_was_cut_off_still_counts(tmp_path, outcome, becomes):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(1.6), notes={"outcome": outcome})
    cut_short(bag, 0.6)
    assert convert(bag, tmp_path / "data").outcome == becomes
