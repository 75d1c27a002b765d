# SPDX-License-Identifier: Apache-2.0
"""Every verdict is given to a policy or bag that has just that defect, and none of them to a good policy."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_bags import S
from sample_world import OTHER, ROBOT, START, ClockPolicy, Work, changed, plan, write_work

from gr00t_bringup.bag_evaluation.aligned import Aligned, align
from gr00t_bringup.bag_evaluation.judge import Judgement, as_data, judge
from gr00t_bringup.bag_evaluation.prediction_errors import prediction_errors
from gr00t_bringup.bag_evaluation.recorded_run import RecordedRun, open_run
from gr00t_bringup.bag_evaluation.replay import ReplaySettings, replay
from gr00t_bringup.bag_evaluation.time_shift import chunk_shift
from gr00t_bringup.bag_evaluation.token_latency import TokenLatency
from gr00t_bringup.bag_evaluation.training_range import TrainingRange
from gr00t_planner.config import PlannerConfig
from gr00t_policy.data.bag import BagWriter, bag_topics, read_bag
from gr00t_policy.data.convert_source import TopicNames

EXACT = ReplaySettings(planner=PlannerConfig(frozen_images=0, token_dtype="float32"), probes=8)
LATENCY = TokenLatency((0.03, 0.09), "uniform")
TRAINED = TrainingRange(np.full(7, -1.3), np.full(7, 1.3))
BAD = ("error", "warning")


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Callable[..., RecordedRun]:
    """Opens a bag of some work; the same work is written once."""
    made: dict[str, Path] = {}

    def opened(**changes) -> RecordedRun:
        key = repr(changes)
        if key not in made:
            made[key] = write_work(tmp_path_factory.mktemp("bags") / "bag", Work(**changes))
        return open_run(made[key], ROBOT, TopicNames())

    return opened


def judged(runs: list[RecordedRun], policy: ClockPolicy, noisy: ClockPolicy | None = None) -> Judgement:
    return judge(runs, policy, LATENCY, EXACT, noisy, TRAINED, OTHER)


def bad(judgement: Judgement) -> dict[str, str]:
    """Code -> sentence of the errors and warnings."""
    return {each.code: each.sentence for each in judgement.verdicts if each.severity in BAD}


def test_a_good_policy_gets_no_bad_verdict_and_looks_right(record):
    judgement = judged([record(), record(sentence=OTHER)], ClockPolicy(), changed(noise_rad=0.01))
    assert bad(judgement) == {}
    good = [each.sentence for each in judgement.verdicts if each.severity == "good"]
    assert len(good) == 1
    assert good[0].startswith("looks right")
    still = next(each for each in judgement.verdicts if each.code == "never_move")
    assert still.severity == "note"
    assert still.evidence["joints"] == ["left_arm_0", "left_arm_1"]
    assert as_data(judgement)["ok"]


@pytest.mark.parametrize(
    ("defects", "code", "said"),
    [
        ({"scale": 180 / np.pi}, "units_or_order", "look like degrees"),
        ({"order": (0, 1, 4, 2, 3, 5, 6)}, "units_or_order", "right_arm_0 moves as right_arm_1 is predicted"),
        ({"signs": (1, 1, 1, -1, 1, 1, 1)}, "units_or_order", "opposite sign they fit for right_arm_1"),
        ({"blind": True, "numb": True}, "ignores_image", "policy ignores the image"),
        ({"deaf": True}, "ignores_sentence", "policy ignores the sentence"),
        ({"numb": True}, "ignores_joint_state", "policy ignores the joint state"),
        ({"late_s": 0.12, "numb": True}, "lag", "lag 12"),
        ({"late_s": -0.15, "numb": True}, "lead", "before the recorded ones"),
        ({"holds": True}, "no_better_than_hold", "no better than holding still"),
        ({"hand_early_s": 0.3}, "hand_closes", "right_hand closes 3"),
        ({"hand_early_s": -0.3, "numb": True}, "hand_opens", "right_hand opens 3"),
        ({"jump_rad": 0.15}, "borders_jump", "chunk borders jump"),
        ({"noise_rad": 0.1}, "rough", "times the acceleration"),
        ({"stray_rad": 0.3}, "moves_still_joints", "left_arm_0"),
    ],
    ids=lambda value: value if isinstance(value, str) and "_" in value else "",
)
def test_a_defect_is_named(record, defects, code, said):
    found = bad(judged([record()], changed(**defects)))
    assert said in found.get(code, ""), found


def test_a_policy_that_never_closes_its_hand_is_told_so(record):
    class Open(ClockPolicy):
        def _wanted(self, times_s, sentence):
            return plan(times_s, sentence) * (1, 1, 1, 1, 1, 0, 0)

    assert "right_hand does not close" in bad(judged([record()], Open(numb=True)))["hand_close_missing"]


def test_a_picture_that_matters_less_than_the_seed_is_a_warning(record):
    found = bad(judged([record()], ClockPolicy(), changed(noise_rad=2.0)))
    assert {"image_below_noise", "sentence_below_noise"} <= set(found)


def test_a_recording_in_degrees_is_named(record):
    found = bad(judged([record(commands=False, state_scale=180 / np.pi)], changed(numb=True)))
    assert set(found) == {"units_or_order"}
    assert "the recording looks like degrees" in found["units_or_order"]


def test_joint_states_that_the_checkpoint_was_never_trained_on_are_named(record):
    trained = TrainingRange(TRAINED.low, np.array([1.3, 1.3, 1.3, 1.3, 0.3, 1.3, np.inf]))
    found = bad(judge([record()], ClockPolicy(), LATENCY, EXACT, None, trained, OTHER))
    assert set(found) == {"outside_training"}
    assert "right_arm_2" in found["outside_training"]
    assert "right_arm_1" not in found["outside_training"]


def test_a_black_camera_is_told_instead_of_a_policy_that_ignores_it(record):
    found = bad(judged([record(shown="black")], changed(blind=True)))
    assert set(found) == {"camera_black"}


def test_a_camera_that_shows_the_same_all_the_time_is_told(record):
    assert "camera_frozen" in bad(judged([record(shown="still")], changed(blind=True)))


def test_a_bag_without_motion_says_nothing_about_the_policy(record):
    still = lambda positions: 0 * positions  # noqa: E731
    judgement = judged([record(later_s=-1.0, later=still)], changed(holds=True))
    assert set(bad(judgement)) == {"nothing_moves"}


def test_being_held_is_told_with_its_cause(record):
    slow = replace(EXACT, controller=replace(EXACT.controller, token_max_age_s=2.0))
    judgement = judge([record()], ClockPolicy(), TokenLatency((0.45,), "constant"), slow, None, TRAINED, OTHER)
    assert "no new tokens for 0.3 s" in bad(judgement)["held"]


@pytest.mark.parametrize("by_s", [0.4, -0.4])
def test_a_clock_that_was_set_while_it_was_recorded_is_told(record, tmp_path, by_s):
    """Of the recording computer alone: the senders' stamps go on."""
    bag = record().recording.bag
    with BagWriter(tmp_path / "set") as written:
        for topic in bag_topics(bag).values():
            written.add_topic(topic)
        for message in read_bag(bag):
            by_ns = round(by_s * S) if message.log_ns - START > 2.5 * S else 0
            moved = replace(message, log_ns=message.log_ns + by_ns, publish_ns=message.publish_ns + by_ns)
            written.write(moved)
    judgement = judged([open_run(tmp_path / "set", ROBOT, TopicNames())], ClockPolicy())
    told = [each for each in judgement.verdicts if each.code == "clock"]
    assert told and {each.severity for each in told} == {"warning"}
    assert all("clock" in each.sentence and each.sentence.startswith("set: ") for each in told), told


def test_a_lead_over_positions_without_commands_is_only_a_note(record):
    judgement = judged([record(commands=False)], changed(numb=True))
    lead = next(each for each in judgement.verdicts if each.code == "lead")
    assert lead.severity == "note"
    assert lead.evidence["late_ms"] == pytest.approx(-100, abs=15)


@pytest.mark.parametrize("late_s", [-0.2, 0.0, 0.07, 0.25])
def test_the_shift_in_time_is_found_to_ten_milliseconds(record, late_s):
    shift = chunk_shift([aligned(record(), changed(late_s=late_s, numb=True))])
    assert shift.late_s == pytest.approx(late_s, abs=0.01)


def test_holding_still_is_exactly_as_good_as_the_baseline_of_that_name(record):
    errors = prediction_errors([aligned(record(), changed(holds=True))])["all"]
    assert errors["policy"]["mae_rad"] == pytest.approx(errors["hold"]["mae_rad"], rel=1e-9)
    assert errors["mean"]["normalised"] == pytest.approx(1.0, rel=1e-6)


def test_errors_do_not_depend_on_how_bags_are_grouped(record):
    one, two = aligned(record(), changed(late_s=0.1)), aligned(record(sentence=OTHER), changed(late_s=0.1))
    both = prediction_errors([one, two])["right_arm"]["policy"]["mae_rad"]
    counts = [bag.known.sum() for bag in (one, two)]
    alone = [prediction_errors([bag])["right_arm"]["policy"]["mae_rad"] for bag in (one, two)]
    assert both == pytest.approx(np.average(alone, weights=counts))


def aligned(run: RecordedRun, policy: ClockPolicy) -> Aligned:
    return align(run, replay(run, policy, LATENCY, EXACT))
