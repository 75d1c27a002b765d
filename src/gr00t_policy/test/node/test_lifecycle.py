# SPDX-License-Identifier: Apache-2.0
"""The base of all nodes: errors become one line and a failed transition, and a process ends as it should."""

import os

os.environ["ROS_DOMAIN_ID"] = "164"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from probe_node import ProbeNode, ProbeSettings
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_msgs.msg import String

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.ros import qos
from gr00t_policy.ros.lifecycle import make_executor, spin_for
from gr00t_policy.ros.parameters import read_settings
from gr00t_policy.ros.transport import init_ros
from gr00t_policy.runtime.pacing import PacedLoop

PROGRAM = Path(__file__).with_name("probe_node.py")
SUCCESS, FAILURE, ERROR = (getattr(TransitionCallbackReturn, name) for name in ("SUCCESS", "FAILURE", "ERROR"))


@pytest.fixture(scope="module", autouse=True)
def context() -> Iterator[None]:
    init_ros()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def probe() -> Iterator:
    made: list[ProbeNode] = []

    def make(**settings: object) -> ProbeNode:
        node = ProbeNode(parameter_overrides=[Parameter(key, value=value) for key, value in settings.items()])
        made.append(node)
        return node

    yield make
    for node in made:
        node.stop()
        node.destroy_node()


def start_program(*parameters: str) -> subprocess.Popen[str]:
    arguments = [argument for parameter in parameters for argument in ("-p", parameter)]
    command = [sys.executable, str(PROGRAM), "--ros-args", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the program ended without saying '{text}'")


def test_a_node_goes_up_and_down_in_order(probe) -> None:
    node = probe()
    assert [node.trigger_configure(), node.trigger_activate()] == [SUCCESS, SUCCESS]
    assert node.is_active
    assert [node.trigger_deactivate(), node.trigger_cleanup()] == [SUCCESS, SUCCESS]
    assert node.story == ["configure", "activate", "deactivate", "cleanup"]
    assert not node.is_active


def test_what_was_waiting_when_a_node_was_cleaned_up_is_not_delivered(probe) -> None:
    node, heard = probe(), []
    node.configure = lambda settings: node.keep_subscription(
        String, "heard", lambda message: heard.append((node._generation, message.data)), qos.NEWEST
    )
    assert node.trigger_configure() == SUCCESS
    late = next(one for one in node.subscriptions if one.topic_name.endswith("heard")).callback
    late(String(data="in time"))
    assert node.trigger_cleanup() == SUCCESS
    late(String(data="too late"))
    assert heard == [(0, "in time")]


def test_an_error_of_the_users_is_one_line_and_what_was_begun_is_undone(probe, capfd) -> None:
    node = probe(fail_in="configure")
    assert node.trigger_configure() == FAILURE
    assert node.story == ["configure", "cleanup"]
    said = capfd.readouterr().err
    assert "cannot configure: configure cannot work" in said
    assert "Traceback" not in said


def test_a_fault_of_ours_is_told_with_its_traceback_and_takes_everything_down(probe, capfd) -> None:
    node = probe(fail_in="activate", fault=True)
    node.trigger_configure()
    assert node.trigger_activate() == ERROR
    assert node.story[-2:] == ["deactivate", "cleanup"]
    assert "RuntimeError: activate is broken" in capfd.readouterr().err
    assert node.trigger_configure() == SUCCESS, "unconfigured again, so it may be tried again"


def test_stopping_an_active_node_stops_its_output_first_and_happens_once(probe) -> None:
    node = probe()
    assert node.start()
    node.stop()
    node.stop()
    assert node.story == ["configure", "activate", "deactivate", "cleanup"]


def test_a_node_that_an_operator_has_shut_down_is_stopped_without_a_second_shutdown(probe) -> None:
    node = probe()
    assert node.start()
    assert node.trigger_shutdown() == SUCCESS
    node.stop()
    assert node.story == ["configure", "activate", "deactivate", "cleanup"]


def test_a_transition_that_is_not_possible_is_refused_and_the_node_goes_on(probe, capfd) -> None:
    """As a program asks for it; ``ros2 lifecycle set`` looks first at what is possible."""
    node, asker, executor = probe(), rclpy.create_node("asker"), make_executor()
    for one in (node, asker):
        executor.add_node(one)
    client = asker.create_client(ChangeState, f"{node.get_name()}/change_state")
    assert client.wait_for_service(10)

    def ask(**transition: object) -> bool:
        answer = client.call_async(ChangeState.Request(transition=Transition(**transition)))
        executor.spin_until_future_complete(answer, timeout_sec=10)
        return answer.result().success

    assert not ask(id=Transition.TRANSITION_ACTIVATE)
    assert (
        "transition 3 is not possible from 'unconfigured'; possible: configure (1), shutdown (5)"
        in capfd.readouterr().err
    )
    assert not ask(label="nonsense")
    assert ask(id=Transition.TRANSITION_CONFIGURE) and ask(label="activate") and node.is_active
    assert not ask(id=Transition.TRANSITION_ACTIVATE) and node.is_active
    asker.destroy_node()


def test_the_executor_delivers_and_really_waits_with_finite_waits(probe) -> None:
    """The events executor of these wheels delivers nothing when it may wait for ever; this is the form that works."""
    heard: list[String] = []
    node = probe()
    listener = rclpy.create_node("listener")
    listener.create_subscription(String, "beat", heard.append, qos.NEWEST)
    executor = make_executor()
    for one in (node, listener):
        executor.add_node(one)
    assert node.start()
    deadline = time.monotonic() + 20.0
    while len(heard) < 10 and time.monotonic() < deadline:
        spin_for(executor, 0.2)
    assert len(heard) >= 10
    began = time.monotonic()
    executor.spin_until_future_complete(Future(), timeout_sec=0.1)
    assert time.monotonic() - began >= 0.09, "it really waits"
    for one in (node, listener):
        executor.remove_node(one)
    listener.destroy_node()


class Thinker(ProbeNode):
    """Its thread is in one long thought while ``may_end`` is not set; it needs what cleanup takes away."""

    def configure(self, settings: ProbeSettings) -> None:
        super().configure(settings)
        self.thinks, self.may_end, self.knowledge = threading.Event(), threading.Event(), ["all"]

    def activate(self) -> None:
        super().activate()
        self.loop = PacedLoop("thought", 100.0, self._think)
        self.loop.start()
        assert self.thinks.wait(20.0)

    def deactivate(self) -> None:
        super().deactivate()
        self.stop_thread(self.loop)

    def cleanup(self) -> None:
        super().cleanup()
        self.knowledge = []

    def _think(self, _: int) -> None:
        self.thinks.set()
        self.may_end.wait(60.0)
        self.knowledge.pop()


@pytest.fixture
def thinker() -> Iterator[Thinker]:
    node = Thinker()
    assert node.start()
    yield node
    node.may_end.set()
    node.loop.stop(20.0)
    assert node.loop.failure is None, "what the thread needed was taken away"
    node.stop()
    node.destroy_node()


def test_a_thread_that_has_not_ended_gets_no_second_one_beside_it_and_keeps_what_it_needs(thinker, capfd) -> None:
    assert thinker.trigger_deactivate() == SUCCESS
    assert not thinker.is_active
    assert [thinker.trigger_activate(), thinker.trigger_cleanup()] == [FAILURE, FAILURE]
    assert thinker.story == ["configure", "activate", "deactivate"]
    said = capfd.readouterr().err
    assert "cannot activate: a thread that was stopped has not ended yet (thought); try again" in said
    assert "cannot clean up: " in said and "Traceback" not in said
    thinker.may_end.set()
    assert thinker.loop.stop(20.0)
    assert thinker.loop.failure is None
    assert [thinker.trigger_cleanup(), thinker.trigger_configure()] == [SUCCESS, SUCCESS]


def test_a_node_that_is_shut_down_leaves_a_thread_that_has_not_ended_what_it_needs(thinker) -> None:
    assert thinker.trigger_shutdown() == SUCCESS
    assert thinker.story == ["configure", "activate", "deactivate"] and thinker.knowledge


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_program_cleanly(number: signal.Signals) -> None:
    process = start_program("autostart:=true")
    wait_for_line(process, "activate")
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [line.split(": ")[-1] for line in said.splitlines() if "[probe]" in line] == ["deactivate", "cleanup"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_node_configures_means_that_it_is_not_activated(number: signal.Signals) -> None:
    process = start_program("autostart:=true", "load_s:=1.0")
    wait_for_line(process, "configure")
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [line.split(": ")[-1] for line in said.splitlines() if "[probe]" in line] == ["deactivate", "cleanup"]


@pytest.mark.parametrize(
    ("parameters", "code", "line"),
    [
        (("autostart:=true", "fail_in:=configure"), 1, "cannot configure: configure cannot work"),
        (("autostart:=true", "fail_in:=activate"), 1, "cannot activate: activate cannot work"),
        (("autostart:=true", "fail_in:=callback"), 1, "RuntimeError: the callback is broken"),
        (("speed:=3",), 2, "unknown parameter(s) of node 'probe': speed; known: autostart, fail_in"),
        (("rate_hz:=500.0",), 2, "parameter 'rate_hz' is 500.0; allowed is 1.0 to 100.0 Hz"),
        (("rate_hz:=.nan",), 2, "parameter 'rate_hz' must be a finite number"),
        (("rate_hz:=[]",), 2, "parameter 'rate_hz': expected float, got an empty list"),
        (("speed:=[]",), 2, "unknown parameter(s) of node 'probe': speed; known: autostart, fail_in"),
        (("autostart:=7",), 2, "parameter 'autostart': expected bool, got 7 (int)"),
    ],
)
def test_what_goes_wrong_is_said_once_and_in_the_exit_code(parameters: tuple[str, ...], code: int, line: str) -> None:
    process = start_program(*parameters)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert said.count(line) == 1, said


def test_settings_come_from_overrides_and_defaults_and_whole_numbers_are_fine(probe) -> None:
    node = probe(rate_hz=20, names=["x"])
    settings = node.settings
    assert (settings.rate_hz, settings.names, settings.live_gain) == (20.0, ("x",), 1.0)
    assert node.describe_parameter("rate_hz").floating_point_range[0].to_value == 100.0


def test_an_empty_list_is_an_empty_tuple(tmp_path) -> None:
    file = tmp_path / "probe.yaml"
    file.write_text("/**/probe:\n  ros__parameters:\n    names: []\n")
    for words in (["-p", "names:=[]"], ["--params-file", str(file)]):
        node = ProbeNode(cli_args=["--ros-args", *words], use_global_arguments=False)
        assert node.settings.names == ()
        assert node.set_parameters([Parameter("names", value=["x"])])[0].successful
        assert node.settings.names == ("x",)
        node.destroy_node()


def test_the_settings_own_checks_run_too(probe) -> None:
    with pytest.raises(ConfigError, match="names repeat: x, x"):
        probe(names=["x", "x"])


def test_only_live_parameters_change_while_configured(probe) -> None:
    node = probe()
    node.trigger_configure()
    frozen, live, wild = node.set_parameters(
        [Parameter("rate_hz", value=10.0), Parameter("live_gain", value=0.5), Parameter("live_gain", value=9.0)]
    )
    assert not frozen.successful
    assert "'rate_hz' can only be changed while the node is unconfigured" in frozen.reason
    assert live.successful
    assert not wild.successful
    assert read_settings(node, type(node.settings)).live_gain == 0.5
    node.trigger_cleanup()
    assert node.set_parameters([Parameter("rate_hz", value=10.0)])[0].successful
