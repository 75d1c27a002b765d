# SPDX-License-Identifier: Apache-2.0
"""Weight slots of the published networks: they differ between releases, and the shipped robots use those of N1."""

import pytest

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import EmbodimentError
from gr00t_policy.core.projectors import PROJECTOR_INDICES, projector_index


@pytest.mark.parametrize(
    ("release", "tag", "index"),
    [
        ("n1", "gr1", 24),
        ("n1", "new_embodiment", 31),
        ("gr00t_dreams", "franka", 17),
        ("gr00t_dreams", "so100", 26),
        ("n1.5", "agibot_genie1", 26),
        ("n1.5_lerobot", "unitree_g1", 3),
        ("n1.6", "gr1", 20),
        ("n1.6", "behavior_r1_pro", 24),
        ("n1.6", "new_embodiment", 10),
    ],
)
def test_a_tag_has_the_slot_of_its_release(release, tag, index):
    assert projector_index(release, tag) == index


@pytest.mark.parametrize("release", PROJECTOR_INDICES)
def test_no_two_tags_share_a_slot_and_all_lie_in_the_32_of_the_network(release):
    slots = list(PROJECTOR_INDICES[release].values())
    assert len(set(slots)) == len(slots)
    assert all(0 <= slot < 32 for slot in slots)


@pytest.mark.parametrize("name", ["gr1", "gr1_arms_only", "gr1_arms_waist", "gr1_full_upper_body"])
def test_the_shipped_robots_use_the_slot_of_n1_under_the_tag_gr1(name):
    robot = load_embodiment(name)
    assert robot.tag == "gr1"
    assert robot.projector_index == projector_index("n1", robot.tag)


def test_an_unknown_release_or_tag_is_answered_with_the_known_ones():
    with pytest.raises(EmbodimentError, match="unknown release 'n2'; known: n1, gr00t_dreams"):
        projector_index("n2", "gr1")
    with pytest.raises(
        EmbodimentError, match="no weights for the tag 'so100'; it has: gr1, new_embodiment; .*fine-tuned"
    ):
        projector_index("n1", "so100")
