# SPDX-License-Identifier: Apache-2.0
"""An episode in review says so on the disk, until it is judged, kept by the next one, or kept because its recorder ended."""

from pathlib import Path

import pytest
from test_episode_recorder import Scene

from gr00t_policy.data.bag_metadata import read_metadata
from gr00t_policy.data.bag_reading import bag_contents
from gr00t_policy.data.convert_source import episode_notes
from gr00t_teleop.recording.episode import Decision
from gr00t_teleop.recording.episode_folders import EpisodeFolders
from gr00t_teleop.recording.recovery import recover_bag
from gr00t_teleop.recording.report import State


def recorded(root: Path, **settings: object) -> tuple[Scene, Path]:
    """A recorder with an episode that has just ended."""
    scene = Scene(root, **settings)
    scene.connect()
    scene.send(5)
    bag = scene.start()
    scene.send(5)
    scene.recorder.stop(scene.now_ns)
    return scene, bag


@pytest.fixture
def in_review(tmp_path):
    scene, bag = recorded(tmp_path / "episodes")
    scene.settle(State.REVIEW)
    yield scene, bag
    scene.folders.release()


def test_an_episode_in_review_is_not_to_be_learnt_until_it_is_kept(in_review):
    scene, bag = in_review
    assert "it is in review" in episode_notes(bag).reason_to_skip()
    scene.recorder.decide(scene.now_ns, Decision(keep=True))
    assert episode_notes(bag).reason_to_skip() == ""


def test_the_next_episode_keeps_the_one_in_review(in_review):
    scene, bag = in_review
    scene.send(1)
    scene.start()
    assert episode_notes(bag).reason_to_skip() == ""
    scene.recorder.close(scene.now_ns)


def test_a_decision_while_the_bag_is_closed_counts_as_one_in_review(tmp_path):
    scene, bag = recorded(tmp_path / "episodes")
    scene.recorder.decide(scene.now_ns, Decision(keep=True, outcome="success"))
    scene.settle(State.READY)
    assert (episode_notes(bag).reason_to_skip(), episode_notes(bag).outcome) == ("", "success")
    scene.folders.release()


@pytest.mark.parametrize("word", ["", "success"])
def test_of_two_decisions_while_an_episode_is_closed_the_later_counts(tmp_path, word):
    scene = Scene(tmp_path / "episodes")
    scene.connect()
    scene.send(5)
    bag = scene.start()
    scene.recorder.decide(scene.now_ns, Decision(keep=False, outcome="failure"))
    scene.recorder.decide(scene.now_ns, Decision(keep=True, outcome=word))
    scene.settle(State.READY)
    notes = episode_notes(bag)
    assert (notes.kept, notes.outcome, notes.reason_to_skip()) == (True, word, "")
    scene.folders.release()


@pytest.mark.parametrize("settings", [{"review": False}, {}])
def test_what_is_kept_at_once_was_never_in_review(tmp_path, settings):
    scene = Scene(tmp_path / "episodes", **settings)
    scene.connect()
    scene.send(5)
    bag = scene.start()
    if settings:
        scene.recorder.stop(scene.now_ns)
    else:
        scene.recorder.decide(scene.now_ns, Decision(keep=True))
    scene.settle(State.READY)
    assert "review" not in read_metadata(bag)["custom_data"]
    scene.folders.release()


def test_a_recorder_that_ends_keeps_what_nobody_can_judge_any_more(tmp_path):
    scene = Scene(tmp_path / "episodes")
    scene.connect()
    scene.send(5)
    bag = scene.start()
    scene.recorder.close(scene.now_ns)
    assert scene.recorder.report(scene.now_ns).state is State.REVIEW, "the node may only have been deactivated"
    scene.recorder.keep_reviewed()
    assert episode_notes(bag).reason_to_skip() == ""
    scene.folders.release()


def test_what_was_in_review_when_its_recorder_was_killed_is_kept_by_the_next_one_on_its_folder(in_review):
    scene, bag = in_review
    scene.folders.release()  # as the end of its process does
    folders = EpisodeFolders(bag.parent)
    assert folders.keep_undecided() == [bag]
    assert (episode_notes(bag).reason_to_skip(), bag_contents(bag).counts.total()) == ("", 5)
    assert folders.keep_undecided() == []
    folders.release()


def test_a_recovered_copy_of_an_episode_in_review_is_kept_and_the_original_then_stays_left_out(in_review):
    scene, bag = in_review
    copy = recover_bag(bag).out
    assert (episode_notes(copy).reason_to_skip(), bag_contents(copy).counts.total()) == ("", 5)
    assert scene.folders.keep_undecided() == []
    assert "it is in review" in episode_notes(bag).reason_to_skip()
