# SPDX-License-Identifier: Apache-2.0
"""``gr00t teleop`` without ROS: what is refused before a process starts, the screen, the keys, what a node says in its log."""

import os
import pty
import re
import sys

import pytest

from gr00t_bringup.cli import main, options_of
from gr00t_bringup.node_talk import NodeTalk
from gr00t_bringup.nodes import NODES
from gr00t_bringup.processes import ProcessDiedError, ProcessGroup, StopPatience
from gr00t_bringup.teleop import TeleopConfig, device_parameters, key_help, stack_options
from gr00t_bringup.teleop_status import TeleopStatus, driver_words, line, rows
from gr00t_bringup.terminal_keys import PassedKeys, TerminalKeys
from gr00t_policy.core.errors import ConfigError
from gr00t_teleop.devices.config import DEVICES


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--device", "wand"), "device 'wand' is unknown; known: webxr"),
        (("--task", "juggle"), "unknown task 'juggle'; known: pick_named_object"),
        (("--looks", "odd"), "odd"),
        (("--checkpoint", "nowhere"), "no checkpoint folder nowhere.*take over"),
        (("--device-options", "hots=0.0.0.0"), "'hots=0.0.0.0' is none; give NAME=VALUE with one of:.* host"),
        (("--device-options", "port=abc"), "port must be int, got 'abc'"),
        (("--device", "replay"), "bag is empty"),
        (("--device", "keyboard"), "needs a terminal"),
        (("--episodes", "-1"), "must not be negative"),
        (("--clutch-takes-over",), "needs a policy.*--checkpoint"),
        (("--say", "dance",), "dance"),
        (("--seed", "10005", "--episodes", "2"), "10000 to 10099, which are for evaluation"),
        (("--seed", "10005"), "for evaluation.*use --seed below 10000"),  # nobody at the keys
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_is_wrong_is_one_line_before_anything_starts(words, said, tmp_path, capsys):
    assert main(["teleop", "--headless", "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert re.search(said, error), error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_help_names_every_device_and_every_key(capsys):
    with pytest.raises(SystemExit):
        main(["teleop", "--help"])
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert all(device in words for device in DEVICES)
    for name in TeleopConfig.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in words


def test_scenes_of_the_evaluation_may_be_driven_where_no_episodes_are_asked_for(capsys):
    assert TeleopConfig(seed=10005).seed == 10005
    with pytest.raises(SystemExit):
        main(["teleop", "--help"])
    assert "10000 to 10099 are for evaluation" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_options_of_a_device_have_the_types_of_its_parameters():
    given = ("host=0.0.0.0", "port=9000", "max_age_s=1", "pairing_code=123456")
    parameters = {"device": "webxr", "host": "0.0.0.0", "port": 9000, "max_age_s": 1.0, "pairing_code": "123456"}
    assert device_parameters("webxr", given) == parameters


def test_a_device_may_be_named_as_people_type_it():
    assert device_parameters("visionpro", ("vision_pro_address=192.168.1.20",))["device"] == "vision_pro"


def test_the_policy_is_started_only_with_a_checkpoint_and_nobody_drives_before_the_scene_is_laid_out(tmp_path):
    alone = stack_options(TeleopConfig(), device_parameters("webxr", ()))
    absent = {node.name for node in NODES} - {node.name for node in alone.started}
    assert absent == {"planner", "controller", "task_server"}
    assert alone.overrides["command_gate"] == {"default_source": ""}
    both = stack_options(TeleopConfig(checkpoint=tmp_path), device_parameters("webxr", ()))
    assert both.started == tuple(node for node in NODES if node.name != "task_server")
    assert both.checkpoint == tmp_path


def test_the_screen_says_who_drives_what_alarms_and_how_many_are_kept():
    status = TeleopStatus(
        driver="teleop", gate="active", recorder="recording", recorded_s=3.21, alarm=True, recorder_detail="disk is slow",
        kept=2, wanted=5, success=True,
    )  # fmt: skip
    values = {row[0]: row[1:] for row in rows(status)}
    assert values["who drives"] == ("the person", "active")
    assert values["recorder"] == ("recording 3.2 s", "ALARM: disk is slow")
    assert values["episodes kept"][0] == "2 of 5"
    assert values["task"][1] == "SOLVED"
    assert "ALARM: disk is slow" in line(status)
    assert "policy" not in values
    assert "nan" not in line(TeleopStatus()) + str(rows(TeleopStatus(controller="running")))


def test_a_robot_that_is_held_is_driven_by_nobody():
    assert driver_words(TeleopStatus(driver="policy", gate="hold")) == "nobody (the policy next)"
    assert driver_words(TeleopStatus(driver="", gate="hold")) == "nobody"


def test_keys_come_one_by_one_from_the_terminal_which_is_as_before_afterwards(monkeypatch):
    here, there = pty.openpty()
    with os.fdopen(there, "r+b", buffering=0) as terminal, os.fdopen(here, "r+b", buffering=0) as person:
        monkeypatch.setattr("sys.stdin", terminal)
        with TerminalKeys() as keys:
            assert keys.there
            assert keys.read(0.0) == ""
            person.write(b"sk")
            assert keys.read(1.0) == "sk"
        with TerminalKeys(wanted=False) as none:
            person.write(b"x\n")
            assert (none.there, none.read(0.01)) == (False, "")
        assert terminal.read(3) == b"x\n"


def test_keys_that_are_passed_on_arrive_at_a_node_that_has_them_as_its_terminal(tmp_path):
    code = "import sys; print('heard', sys.stdin.readline().strip(), flush=True); import time; time.sleep(60)"
    with PassedKeys() as passed, ProcessGroup(tmp_path, StopPatience(0.2, 0.2, 1.0)) as group:
        group.start("operator", [sys.executable, "-c", code], terminal=passed.terminal)
        passed.press("wasd\n")
        while "heard wasd" not in group.log_tail("operator"):
            group.check()


def test_capitals_are_told_where_small_letters_go_to_the_device():
    assert "s start an episode" in key_help(False) and "q quit" in key_help(False)
    assert "S start an episode" in key_help(True) and "Q quit" in key_help(True)


def test_what_a_node_says_is_told_once_and_only_whole_lines(tmp_path):
    log = tmp_path / "operator.log"
    log.write_text("[INFO] [17.5] [operator]: pairing code: 123456\nnoise\n[WARN] [18.0] [operator]: no head")
    talk = NodeTalk(log)
    assert talk.news() == ["pairing code: 123456"]
    with log.open("a") as stream:
        stream.write("set: é\n[INFO] [19.0] [sim]: not mine\n")
    assert talk.news() == ["no headset: é"]
    assert talk.news() == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("[ERROR] [1.5] [operator]: cannot activate: cannot listen on port 8443", "cannot activate: cannot listen on port"),
        ("[FATAL] [1.5] [start]: device 'x' is unknown", "device 'x' is unknown"),
    ],
)  # fmt: skip
def test_a_node_that_refuses_to_start_is_quoted_with_its_one_line(tmp_path, said, told):
    with ProcessGroup(tmp_path, StopPatience(0.2, 0.2, 1.0)) as group:
        group.start("operator", [sys.executable, "-c", f"print('before'); print({said!r}); raise SystemExit(1)"])
        with pytest.raises(ProcessDiedError, match=told) as caught:
            while True:
                group.check()
    assert "before" not in str(caught.value)


def test_a_wrong_device_is_refused_where_the_catalogue_is():
    with pytest.raises(ConfigError, match="known: " + ", ".join(DEVICES)):
        device_parameters("wand", ())
    assert options_of(["teleop", "--device", DEVICES[-1]]).device == DEVICES[-1]
