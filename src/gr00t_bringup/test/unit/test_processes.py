# SPDX-License-Identifier: Apache-2.0
"""The process starter with real processes: nothing is left behind, whatever happens, and the guilty one is named."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import yaml

from gr00t_bringup.nodes import NODES, NodeSpec
from gr00t_bringup.processes import (
    ProcessDiedError,
    ProcessGroup,
    StopPatience,
    node_command,
)
from gr00t_bringup.shared_memory import mapped_segments, remove_dead
from gr00t_policy.ros.transport import sockets_only

_QUICK = StopPatience(interrupt_s=1.0, terminate_s=0.3, kill_s=1.0)
_SLEEP = "import time; print('ready', flush=True); time.sleep(60)"
_DEAF = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('ready', flush=True)
time.sleep(60)
"""


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _wait_until(condition, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


def test_a_process_that_died_is_named_with_its_exit_code_and_the_end_of_its_log(tmp_path):
    with ProcessGroup(tmp_path, _QUICK) as group:
        group.start("sim", _python(_SLEEP))
        group.start("planner", _python("print('no such checkpoint'); raise SystemExit(3)"))
        _wait_until(lambda: not _alive(group.pids["planner"]))
        with pytest.raises(ProcessDiedError, match=r"(?s)'planner' ended with code 3.*no such checkpoint"):
            group.check()


def test_a_killed_process_is_named_with_its_signal(tmp_path):
    with ProcessGroup(tmp_path, _QUICK) as group:
        group.start("controller", _python(_SLEEP))
        group.kill("controller")
        _wait_until(lambda: not _alive(group.pids["controller"]))
        with pytest.raises(ProcessDiedError, match="'controller' ended by signal SIGKILL"):
            group.check()


def test_leaving_the_group_ends_all_even_when_one_is_deaf_to_signals(tmp_path):
    with ProcessGroup(tmp_path, _QUICK) as group:
        group.start("polite", _python(_SLEEP))
        group.start("deaf", _python(_DEAF))
        _wait_until(lambda: "ready" in group.log_tail("deaf") and "ready" in group.log_tail("polite"))
        pids = list(group.pids.values())
    assert not any(_alive(pid) for pid in pids)


def test_an_error_inside_the_group_still_ends_its_processes(tmp_path):
    with pytest.raises(RuntimeError), ProcessGroup(tmp_path, _QUICK) as group:
        group.start("sim", _python(_SLEEP))
        pid = group.pids["sim"]
        raise RuntimeError
    assert not _alive(pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_when_the_starter_is_killed(tmp_path, number):
    code = textwrap.dedent(
        f"""
        import pathlib, sys, time
        from gr00t_bringup.processes import ProcessGroup
        group = ProcessGroup(pathlib.Path({str(tmp_path)!r}))
        group.start("sim", [sys.executable, "-c", {_SLEEP!r}])
        print(group.pids["sim"], flush=True)
        time.sleep(60)
        """
    )
    with subprocess.Popen(_python(code), stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        _wait_until(lambda: "ready" in (tmp_path / "sim.log").read_text())
        starter.send_signal(number)
    _wait_until(lambda: not _alive(pid))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_processes_are_stopped_leaves_none_behind_and_a_sigterm_is_heeded_then(tmp_path, number):
    """The starter ends by SystemExit at a SIGTERM, as ``gr00t`` does; its child is deaf to all but SIGKILL."""
    code = textwrap.dedent(
        f"""
        import pathlib, signal, sys
        from gr00t_bringup.processes import ProcessGroup, StopPatience
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        group = ProcessGroup(pathlib.Path({str(tmp_path)!r}), StopPatience(1.5, 0.3, 1.0))
        group.start("deaf", [sys.executable, "-c", {_DEAF!r}])
        print(group.pids["deaf"], flush=True)
        sys.stdin.readline()
        print("stopping", flush=True)
        group.stop()
        print("stopped", flush=True)
        """
    )
    with subprocess.Popen(_python(code), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None and starter.stdin is not None
        pid = int(starter.stdout.readline())
        _wait_until(lambda: "ready" in (tmp_path / "deaf.log").read_text())
        starter.stdin.write("\n")
        starter.stdin.flush()
        assert starter.stdout.readline() == "stopping\n"
        time.sleep(0.5)
        starter.send_signal(number)
        said = starter.stdout.read()
    assert not _alive(pid)
    terminated = number == signal.SIGTERM
    assert (starter.returncode, said) == ((128 + number, "") if terminated else (0, "stopped\n"))


def test_a_node_command_gives_files_before_overrides_and_keeps_strings_strings(tmp_path):
    node = NodeSpec("planner", "gr00t_planner", "gr00t_planner.ros.planner_node", "gr00t_planner.config:PlannerConfig")
    words = node_command(node, [tmp_path / "a.yaml"], {"checkpoint": "12", "autostart": True}, "robot", {"x": "y"})
    assert words[1:3] == ["-m", "gr00t_planner.ros.planner_node"]
    assert words.index("--params-file") < words.index("-p")
    assert "__ns:=/robot" in words
    assert "x:=y" in words
    values = dict(word.split(":=", 1) for word in words if ":=" in word and not word.startswith("_"))
    assert yaml.safe_load(values["checkpoint"]) == "12"
    assert yaml.safe_load(values["autostart"]) is True


_REACH = ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_STATIC_PEERS", "ROS_LOCALHOST_ONLY", "ROS_DOMAIN_ID")


@pytest.mark.parametrize(
    ("said", "profile"),
    [
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, "127.0.0.1"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "ROS_DOMAIN_ID": "42"}, ""),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "ROS_STATIC_PEERS": "192.0.2.7;192.0.2.8"}, ""),
        ({}, ""),
    ],
    ids=lambda case: "-".join(case.values()) if isinstance(case, dict) else None,
)
def test_a_node_gets_the_reach_of_discovery_that_the_user_chose_and_no_other(tmp_path, monkeypatch, said, profile):
    """LOCALHOST is the only one that is put in other words (a profile for this machine alone), and only by the node itself."""
    for name in (
        *_REACH,
        "FASTRTPS_DEFAULT_PROFILES_FILE",
        "FASTDDS_DEFAULT_PROFILES_FILE",
        "FASTDDS_BUILTIN_TRANSPORTS",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    with ProcessGroup(tmp_path, _QUICK) as group:
        group.start("node", _python(code), essential=False)
        _wait_until(lambda: "node" not in group.alive)
    given = json.loads((tmp_path / "node.log").read_text())
    assert {name: given[name] for name in _REACH if name in given} == said
    chosen = sockets_only(given)
    file = chosen.get("FASTRTPS_DEFAULT_PROFILES_FILE", "")
    assert profile in Path(file).read_text() if profile else not file
    assert set(chosen) <= {"FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS"} | (
        {*said} if profile else set()
    )


def test_node_names_are_unique():
    assert len({node.name for node in NODES}) == len(NODES)


def test_only_segments_that_nobody_holds_are_removed(tmp_path):
    for name in ("fastrtps_dead", "fastrtps_dead_el", "fastrtps_held", "fastrtps_held_el", "other"):
        (tmp_path / name).write_bytes(b"")
    with (tmp_path / "fastrtps_held_el").open("r+b") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        removed = remove_dead(["fastrtps_dead", "fastrtps_held", "fastrtps_gone"], tmp_path)
    assert removed == ["fastrtps_dead"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fastrtps_held", "fastrtps_held_el", "other"]


def test_mapped_segments_are_read_from_the_memory_map(tmp_path):
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "maps").write_text(
        "7f rw-s 0 00:19 5 /dev/shm/fastrtps_ab12\n7f rw-s 0 00:19 6 /dev/shm/fastrtps_port7411\n"
        "7f r-xp 0 0 7 /usr/lib/a.so\n7f rw-p 0 0 0\n"
    )
    assert mapped_segments(42, tmp_path) == {"fastrtps_ab12", "fastrtps_port7411"}
    assert mapped_segments(43, tmp_path) == frozenset()
