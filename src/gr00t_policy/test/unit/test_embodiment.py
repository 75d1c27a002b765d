# SPDX-License-Identifier: Apache-2.0
"""The embodiment: the shipped GR-1 and the laws every robot file keeps."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sample_data import small_robot

from gr00t_policy.core.embodiment import embodiment_from_dict, embodiment_to_dict, load_embodiment
from gr00t_policy.core.encoding import GroupEncoding
from gr00t_policy.core.errors import EmbodimentError

SHIPPED = Path(__file__).resolve().parents[4] / "models" / "gr1_tabletop_tiny" / "embodiment.json"
GROUPS = st.dictionaries(st.sampled_from(["left_arm", "right_arm", "waist", "neck"]), st.integers(1, 7), min_size=1)


@given(GROUPS)
def test_policy_slices_cover_the_policy_vector_in_group_order(groups):
    robot = small_robot(groups)
    names = np.array(robot.policy_joint_names)
    assert list(robot.policy_slices) == list(groups)
    assert sum(part.stop - part.start for part in robot.policy_slices.values()) == len(names)
    for group, part in robot.policy_slices.items():
        assert [robot.joint(name).group for name in names[part]] == [group] * groups[group]


@given(GROUPS)
def test_plain_data_gives_the_same_robot_again_even_through_json(groups):
    robot = small_robot(groups)
    assert embodiment_from_dict(json.loads(json.dumps(embodiment_to_dict(robot)))) == robot


def test_plain_data_is_a_copy_that_cannot_change_the_robot():
    """The data once shared the joints' own dictionaries, so editing them edited a frozen robot."""
    robot = small_robot()
    data = embodiment_to_dict(robot)
    data["joints"][0]["name"] = "other"
    data["home"]["other"] = 1.0
    assert [joint.name for joint in robot.joints].count("other") == 0
    assert "other" not in robot.home


def test_the_gr1_is_the_arms_and_waist_body_of_gr00t_n1():
    robot = load_embodiment("gr1")
    widths = {group: part.stop - part.start for group, part in robot.policy_slices.items()}
    assert widths == {"left_arm": 7, "right_arm": 7, "left_hand": 6, "right_hand": 6, "waist": 3}
    assert robot.projector_index == 24
    assert len(robot.joints) == 32


def test_the_gr1_stands_at_home_within_its_limits():
    robot = load_embodiment("gr1")
    home = robot.positions_by_name(robot.home)
    assert all(joint.lower_rad <= value <= joint.upper_rad for joint, value in zip(robot.joints, home, strict=True))


def test_the_arms_of_the_gr1_mirror_each_other():
    robot = load_embodiment("gr1")
    for joint in robot.joints:
        if joint.name.startswith("left_"):
            other = robot.joint(joint.name.replace("left_", "right_", 1))
            mirrored = (-joint.upper_rad, -joint.lower_rad)
            assert (other.lower_rad, other.upper_rad) in ((joint.lower_rad, joint.upper_rad), mirrored), joint.name


def test_hands_are_open_at_zero_and_positive_when_closing():
    hands = [joint for joint in load_embodiment("gr1").joints if joint.group.endswith("hand")]
    assert len(hands) == 12
    assert all(joint.lower_rad == 0.0 < joint.upper_rad for joint in hands)


def test_positions_by_name_leaves_the_others_at_zero():
    robot = small_robot()
    values = robot.positions_by_name({"waist_0": 0.5})
    assert values[robot.joint_names.index("waist_0")] == 0.5
    assert np.count_nonzero(values) == 1


def test_an_unknown_joint_is_named_and_the_known_ones_listed():
    with pytest.raises(EmbodimentError, match=r"joint 'wrist' is not in embodiment 'small'; it has: waist_0, "):
        small_robot().positions_by_name({"wrist": 1.0})


def test_an_unknown_camera_is_named_and_the_known_ones_listed():
    with pytest.raises(EmbodimentError, match="camera 'chest' is not in embodiment 'small'; it has: head"):
        small_robot().camera("chest")


def test_an_unknown_robot_is_answered_with_the_shipped_ones():
    with pytest.raises(EmbodimentError, match="no embodiment 'gr7'.*shipped ones:.*gr1"):
        load_embodiment("gr7")


def test_a_joint_listed_twice_is_refused():
    robot = small_robot()
    with pytest.raises(EmbodimentError, match="lists joints twice: waist_0"):
        replace(robot, joints=(*robot.joints, robot.joint("waist_0")))


def test_a_policy_group_without_joints_is_refused():
    with pytest.raises(EmbodimentError, match=r"no joints in group\(s\) tail"):
        small_robot(policy_groups=("left_arm", "tail"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lower_rad": 2.0}, "not below upper"),
        ({"lower_rad": float("nan")}, "not below upper"),
        ({"sign": 0}, "sign must be 1 or -1"),
    ],
)
def test_a_joint_that_makes_no_sense_is_refused(change, message):
    robot = small_robot()
    with pytest.raises(EmbodimentError, match=message):
        replace(robot, joints=(replace(robot.joints[0], **change), *robot.joints[1:]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policy_groups": ("waist", "waist")}, "lists a policy group twice"),
        ({"policy_groups": ()}, "has no policy groups"),
        ({"cameras": small_robot().cameras * 2}, "lists a camera twice"),
        ({"state_encoding": "degrees"}, "known: sin_cos, min_max"),
        ({"home": {"waist_0": 2.5}}, "home of joint 'waist_0' is 2.5, outside its limits -2.0 to 2.0"),
        ({"home": {"waist_0": float("nan")}}, "outside its limits"),
    ],
)
def test_a_robot_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(EmbodimentError, match=message):
        small_robot(**change)


@pytest.mark.parametrize("key", ["joints", "cameras", "policy_groups", "language_key", "home"])
def test_a_missing_key_is_refused(key):
    data = embodiment_to_dict(small_robot())
    del data[key]
    with pytest.raises(EmbodimentError, match=key):
        embodiment_from_dict(data)


def test_an_unknown_key_is_refused_in_the_file_and_in_a_joint():
    data = embodiment_to_dict(small_robot())
    with pytest.raises(EmbodimentError, match="colour"):
        embodiment_from_dict({**data, "colour": "red"})
    data["joints"][0]["gear"] = 3
    with pytest.raises(EmbodimentError, match="gear"):
        embodiment_from_dict(data)


def test_a_file_is_read_by_path_and_a_broken_one_is_named(tmp_path):
    good = tmp_path / "small.yaml"
    good.write_text(yaml.safe_dump(embodiment_to_dict(small_robot())))
    assert load_embodiment(good) == small_robot()
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [unclosed")
    with pytest.raises(EmbodimentError, match=r"broken\.yaml is not valid YAML"):
        load_embodiment(broken)
    broken.write_text("just words")
    with pytest.raises(EmbodimentError, match="expected a mapping, got str"):
        load_embodiment(broken)


def test_the_shipped_checkpoint_and_the_file_gr1_describe_one_robot_in_the_same_words():
    """Files from before tag, encodings and truncate_state read as before, and a robot that needs none of them writes none."""
    stored = json.loads(SHIPPED.read_text())
    assert embodiment_from_dict(stored) == load_embodiment("gr1")
    assert embodiment_to_dict(load_embodiment("gr1")) == stored
    assert load_embodiment("gr1").tag == "gr1"


@pytest.mark.parametrize(
    ("name", "groups", "camera", "language", "encoding"),
    [
        ("gr1_arms_only", 4, "ego_view", "annotation.human.action.task_description", "sin_cos"),
        ("gr1_arms_waist", 5, "ego_view", "annotation.human.coarse_action", "sin_cos"),
        ("gr1_full_upper_body", 6, "front_view", "annotation.human.action.task_description", "min_max"),
    ],
)
def test_the_published_configs_of_the_gr1_are_shipped(name, groups, camera, language, encoding):
    robot = load_embodiment(name)
    order = ("left_arm", "right_arm", "left_hand", "right_hand", "waist", "neck")
    assert robot.policy_groups == order[:groups]
    assert [item.name for item in robot.cameras] == [camera]
    assert (robot.language_key, robot.state_encoding, robot.tag) == (language, encoding, "gr1")
    assert {robot.encoding("action", group).mode for group in robot.policy_groups} == {"min_max"}
    assert robot.joints == load_embodiment("gr1").joints


def test_a_file_may_extend_a_shipped_robot_or_a_file_beside_it(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: gr1\nname: mine\nrate_hz: 30.0\n")
    (tmp_path / "hands.yaml").write_text("extends: mine.yaml\nname: hands\npolicy_groups: [left_hand, right_hand]\n")
    hands = load_embodiment(tmp_path / "hands.yaml")
    assert (hands.name, hands.tag, hands.rate_hz) == ("hands", "hands", 30.0)
    assert len(hands.policy_joints) == 12
    assert embodiment_from_dict(embodiment_to_dict(hands)) == hands
    assert "extends" not in embodiment_to_dict(hands)


def test_files_that_extend_each_other_or_nothing_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(EmbodimentError, match=r"a\.yaml extends itself, over a\.yaml, b\.yaml"):
        load_embodiment(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("extends: gr7\n")
    with pytest.raises(EmbodimentError, match="no embodiment 'gr7'"):
        load_embodiment(tmp_path / "a.yaml")


def test_groups_that_differ_are_declared_and_come_back_from_plain_data():
    robot = small_robot(
        {"arm": 3, "wrist": 4, "gripper": 1},
        tag="new_embodiment",
        state_encodings={"wrist": GroupEncoding("none", "quaternion", "rotation_6d")},
        action_encodings={
            "wrist": GroupEncoding("min_max", "quaternion", "axis_angle"),
            "gripper": GroupEncoding("binary"),
        },
        truncate_state=True,
    )
    assert embodiment_from_dict(json.loads(json.dumps(embodiment_to_dict(robot)))) == robot
    assert robot.encoded_width("state") == 2 * 3 + 6 + 2 * 1
    assert robot.encoded_width("action") == 3 + 3 + 1
    assert robot.encoding("state", "arm").mode == "sin_cos"


@pytest.mark.parametrize(
    ("encodings", "message"),
    [
        (
            {"state_encodings": {"tail": {"mode": "q99"}}},
            "state_encodings of 'small' name 'tail'; its groups: left_arm",
        ),
        ({"action_encodings": {"waist": {"mode": "scale"}}}, "mode 'scale' of group 'waist' has no way back"),
        ({"action_encodings": {"waist": {"mode": "sin_cos"}}}, "mode 'sin_cos' of group 'waist' has no way back"),
        ({"state_encodings": {"waist": {"mode": "degrees"}}}, "unknown mode 'degrees'; known: sin_cos, min_max"),
        ({"state_encodings": {"waist": {"colour": "red"}}}, "colour"),
        ({"state_encodings": {"waist": {"rotation_source": "matrix"}}}, "needs both"),
        (
            {"state_encodings": {"left_arm": {"rotation_source": "axis_angle", "rotation_target": "euler"}}},
            "unknown rotation type 'euler'; known: axis_angle",
        ),
        (
            {"state_encodings": {"left_arm": {"rotation_source": "quaternion", "rotation_target": "matrix"}}},
            "group 'left_arm' has 3 values, but a rotation of type quaternion has 4",
        ),
        (
            {
                "state_encodings": {
                    "left_arm": {"mode": "q99", "rotation_source": "axis_angle", "rotation_target": "matrix"}
                }
            },
            "mode 'q99' cannot follow the conversion of a rotation; use min_max",
        ),
    ],
)
def test_an_encoding_that_makes_no_sense_is_refused(encodings, message):
    with pytest.raises(EmbodimentError, match=message):
        embodiment_from_dict({**embodiment_to_dict(small_robot()), **encodings})


def test_a_name_that_no_file_can_have_is_refused_like_an_unknown_one():
    """It went through as the system's own error."""
    with pytest.raises(EmbodimentError, match="cannot be looked for: File name too long"):
        load_embodiment("a" * 5000)
