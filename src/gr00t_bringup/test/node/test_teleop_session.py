# SPDX-License-Identifier: Apache-2.0
"""Which scenes ``gr00t teleop`` records. No node is started: what is refused is refused before one is asked."""

from typing import Any

import pytest

from gr00t_bringup.ros.stack_client import NotReadyError
from gr00t_bringup.ros.teleop_session import Plan, TeleopSession


def session(seed: int, folder, stack: Any = None) -> TeleopSession:
    return TeleopSession(stack, Plan("pick_named_object", seed, "", folder))


@pytest.mark.parametrize("seed", [10000, 10099])
def test_a_scene_of_the_evaluation_is_driven_and_not_recorded(tmp_path, seed):
    with pytest.raises(NotReadyError, match=f"scene {seed} is for evaluation.*it can be driven, and is not recorded"):
        session(seed, tmp_path).start_episode()


def test_a_folder_that_is_gone_on_with_passes_over_the_scenes_of_the_evaluation(tmp_path):
    for number in (1, 2):
        bag = tmp_path / f"episode_{number:04d}"
        bag.mkdir()
        (bag / "metadata.yaml").write_text("")
    with pytest.raises(
        AttributeError, match="client"
    ):  # not refused: it goes on to ask the recorder, which is not there
        session(9998, tmp_path).start_episode()
    with pytest.raises(NotReadyError, match="scene 10002 is for evaluation"):
        session(10000, tmp_path).start_episode()
