# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of ``gr00t bench tokens``: which message is of which kind, what its times say, which profile a way has."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from gr00t_bringup.bench.token_figures import token_figures, token_goal
from gr00t_bringup.bench.token_plan import MessageKind, Times, TokenPlan, kind_of
from gr00t_bringup.bench.token_transports import TRANSPORTS, transport_environment
from gr00t_bringup.bench.tokens import TokenBenchConfig
from gr00t_bringup.bench.tokens import _wait_for as wait_for
from gr00t_bringup.processes import ProcessGroup
from gr00t_planner.config import TOKEN_TYPES
from gr00t_policy.core.errors import ConfigError, Gr00tError
from gr00t_policy.core.wire import WireType, tokens_to_bytes

MS = 1_000_000
SMALL, LARGE = MessageKind(10, "bfloat16"), MessageKind(20, "float32")
PLAN = TokenPlan((SMALL, LARGE), messages=2, loaded=False, realtime=True, warm_up=1)


def sent(numbers: range) -> Times:
    """Message n is there at n * 100 ms, written after 1 ms, away after 3 ms."""
    return Times({n: tuple((100 * n + step) * MS for step in (0, 1, 3)) for n in numbers}, realtime=True)


def received(numbers: list[int], late_ms: int = 0) -> Times:
    """The callback begins 4 ms after the tokens are there, has read them after 6, the head has them after 9."""
    steps = {n: tuple((100 * n + step + late_ms) * MS for step in (4, 6, 9)) for n in numbers}
    return Times(steps, realtime=False)


@pytest.mark.parametrize("dtype", TOKEN_TYPES)
@pytest.mark.parametrize("size_mb", [0.1, 0.3, 1.0])
def test_a_kind_has_the_size_asked_for_to_a_token_and_says_its_true_length(dtype: str, size_mb: float) -> None:
    kind = kind_of(size_mb, dtype)
    features = np.ones((kind.rows, 1536), np.float32)
    assert len(tokens_to_bytes(features, WireType[dtype.upper()])) == kind.data_bytes
    assert abs(kind.data_bytes - 1e6 * size_mb) <= kind.data_bytes / kind.rows / 2


def test_kinds_take_turns_and_every_one_is_counted_as_often_as_asked() -> None:
    counted = [PLAN.kind(n) for n in range(1, PLAN.total + 1) if PLAN.counts(n)]
    assert counted == [SMALL, LARGE, SMALL, LARGE]
    assert [PLAN.kind(n) for n in (1, 2)] == [SMALL, LARGE]


def test_a_plan_and_times_come_back_from_their_files(tmp_path: Path) -> None:
    PLAN.write(tmp_path / "plan.json")
    assert TokenPlan.read(tmp_path / "plan.json") == PLAN
    sent(range(1, 4)).write(tmp_path / "times.json")
    assert Times.read(tmp_path / "times.json") == sent(range(1, 4))


def test_the_steps_of_a_message_add_up_to_the_whole_way() -> None:
    small, large = token_figures(PLAN, sent(range(1, 7)), received([1, 2, 3, 4, 5, 6]))
    assert (small.rows, large.dtype, small.sent, small.lost) == (10, "float32", 2, 0)
    assert (small.write_ms.p50, small.publish_ms.p50, small.way_ms.p50) == (1, 2, 3)
    assert (small.read_ms.p50, small.hand_over_ms.p50, small.to_head_ms.p99, small.whole_ms.p99) == (2, 3, 8, 9)
    assert small.way_ms.p50 + small.read_ms.p50 + small.hand_over_ms.p50 == small.to_head_ms.p50


def test_what_never_reached_the_head_is_lost_and_does_not_shorten_the_way() -> None:
    """Messages 1 and 2 are not counted; of 3 to 6 the two small ones are 3 and 5."""
    small, large = token_figures(PLAN, sent(range(1, 7)), received([1, 2, 4, 5, 6], late_ms=10))
    assert (small.sent, small.lost, large.lost) == (2, 1, 0)
    assert small.to_head_ms.p50 == small.worst_ms == 18
    (nothing, _) = token_figures(PLAN, sent(range(1, 7)), received([]))
    assert nothing.lost == 2 and np.isnan(nothing.to_head_ms.p99)


def test_only_messages_of_the_size_it_is_about_are_held_against_the_goal() -> None:
    plan = TokenPlan((kind_of(0.3, "bfloat16"), kind_of(0.6, "bfloat16")), 1, loaded=False, realtime=True, warm_up=0)
    wanted, other = token_figures(plan, sent(range(1, 3)), received([1, 2]))
    goal = token_goal(wanted)
    assert goal is not None and not goal.reached and goal.value == 8
    assert token_goal(other) is None


@pytest.mark.parametrize("name", TRANSPORTS)
def test_a_transport_is_a_profile_with_room_for_what_it_promises(name: str, tmp_path: Path) -> None:
    changed = transport_environment(name, tmp_path, {"ROS_LOCALHOST_ONLY": "1"})
    if name == "nodes":
        assert changed == {}
        return
    assert changed["ROS_LOCALHOST_ONLY"] == "0"
    root = ElementTree.parse(changed["FASTRTPS_DEFAULT_PROFILES_FILE"]).getroot()
    said = {element.tag.split("}")[1]: element.text for element in root.iter()}
    assert said["type"] == ("UDPv4" if name == "small_sockets" else "SHM")
    if said["type"] == "SHM":  # Fast DDS refuses a message that is larger than its segment
        assert int(said["maxMessageSize"] or 0) < int(said["segment_size"] or 0)


def test_what_cannot_be_measured_is_refused_with_what_can(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no transport 'pigeon'; choose of: nodes, small_sockets"):
        transport_environment("pigeon", tmp_path, {})
    with pytest.raises(ConfigError, match="dtypes are float64; choose of: float32, bfloat16, float16"):
        TokenBenchConfig(dtypes=("float64",))
    with pytest.raises(ConfigError, match="loads are none given; choose of: none, busy"):
        TokenBenchConfig(loads=())
    with pytest.raises(ConfigError, match="sizes_mb"):
        TokenBenchConfig(sizes_mb=(0.0,))
    with pytest.raises(ConfigError, match="messages must be at least 1"):
        TokenBenchConfig(messages=0)


def test_a_process_that_ends_without_its_times_is_named_with_what_it_said(tmp_path: Path) -> None:
    with ProcessGroup(tmp_path) as processes:
        processes.start("sender", ["sleep", "60"])
        processes.start("receiver", ["sh", "-c", "echo there is no checkpoint; exit 1"])
        with pytest.raises(Gr00tError, match=r"the receiver did not say(.|\n)*there is no checkpoint"):
            wait_for(tmp_path / "sender.json", processes, "sender", 30.0, ("receiver",))
        with pytest.raises(Gr00tError, match="the sender did not say"):
            wait_for(tmp_path / "sender.json", processes, "sender", 0.2)
