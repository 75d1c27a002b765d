# SPDX-License-Identifier: Apache-2.0
"""Every node of the suite ends at once on parameters that it cannot have: exit code 2 and one line that names them."""

import gc
import importlib
import signal
import sys
from collections.abc import Iterator

import pytest

from gr00t_bringup.nodes import NODES, NodeSpec
from gr00t_bringup.processes import last_words

WITH_PROFILE = ("planner", "controller", "command_gate", "retargeter")
LOOSER = {
    "planner": "max_image_age_s:=0.5",
    "controller": "joint_state_timeout_s:=0.1",
    "command_gate": "command_hold_s:=0.1",
    "retargeter": "operator_hold_s:=0.3",
}


@pytest.fixture(autouse=True)
def signals_of_pytest() -> Iterator[None]:
    """A node's main function takes SIGINT and SIGTERM for itself; what it leaves to the end of its process must go before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    gc.collect()  # or the refused node is seen by others
    for number, handler in before.items():
        signal.signal(number, handler)


def refused(node: NodeSpec, monkeypatch, capfd, tmp_path, *parameters: str) -> str:
    """Runs the node's main function; the line that a user of ``gr00t demo`` is shown."""
    words = [part for parameter in parameters for part in ("-p", parameter)]
    monkeypatch.setattr(sys, "argv", [node.name, "--ros-args", "-r", f"__node:={node.name}", *words])
    assert importlib.import_module(node.module).main() == 2
    log = tmp_path / f"{node.name}.log"
    log.write_text(capfd.readouterr().err)
    assert "Traceback" not in log.read_text()
    assert log.read_text().count("[FATAL]") == 1
    return last_words(log)


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_an_unknown_parameter_ends_the_start_with_its_name_and_the_known_ones(node, monkeypatch, capfd, tmp_path):
    said = refused(node, monkeypatch, capfd, tmp_path, "hurry:=true", "embodiment:=gr1")
    assert f"unknown parameter(s) of node '{node.name}': " in said
    assert "hurry" in said.split("known: ")[0] and "autostart" in said.split("known: ")[1]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_a_parameter_of_another_type_ends_the_start_with_both_types(node, monkeypatch, capfd, tmp_path):
    said = refused(node, monkeypatch, capfd, tmp_path, "autostart:=soon")
    assert said == "parameter 'autostart': expected bool, got 'soon' (str)"


@pytest.mark.parametrize("node", [node for node in NODES if node.name in WITH_PROFILE], ids=lambda node: node.name)
def test_on_the_robot_a_longer_time_out_ends_the_start(node, monkeypatch, capfd, tmp_path):
    said = refused(node, monkeypatch, capfd, tmp_path, "profile:=hardware", LOOSER[node.name])
    name, value = LOOSER[node.name].split(":=")
    assert said.startswith(f"{name} = {value} s is looser than ")
    assert said.endswith(" s, which the hardware profile forbids")
