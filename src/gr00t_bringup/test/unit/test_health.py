# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of the computer, the surroundings and the checkpoint, on real files laid out for it."""

import fcntl
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from gr00t_bringup import shared_memory
from gr00t_bringup.health.checkpoint import checkpoint_finding
from gr00t_bringup.health.computer import (
    computer_findings,
    disk,
    graphics_card,
    leftovers,
    memory,
    processor,
    real_time,
    sockets,
)
from gr00t_bringup.health.live_facts import LiveFacts, StreamFacts
from gr00t_bringup.health.software import domain, middleware, packages, rendering, ros
from gr00t_bringup.health.streams import live_findings
from gr00t_bringup.interface import camera_topic, topics
from gr00t_bringup.nodes import shipped_checkpoint
from gr00t_policy.core.embodiment import embodiment_to_dict, load_embodiment
from gr00t_policy.ros import transport
from gr00t_safety.config import DRY_RUN_TOPIC

_ROBOT = load_embodiment("gr1")
_CAMERA = camera_topic("ego_view")
_PAGE = Path(__file__).resolve().parents[4] / "docs" / "interfaces.md"


def _good_facts(**changes) -> LiveFacts:
    """A robot at 125 and 20 Hz, all nodes active."""
    fields = {
        "domain": "0",
        "nodes": ("/driver",),
        "lifecycle": dict.fromkeys(("planner", "controller", "command_gate"), "active"),
        "joints": StreamFacts("joint_states", ("/driver",), 250, 125.0, 0.002, names=_ROBOT.joint_names),
        "cameras": {
            "ego_view": StreamFacts(_CAMERA, ("/driver",), 40, 20.0, 0.03, size=(224, 224), encoding="rgb8"),
        },
        "commands": {"joint_trajectory": ("/command_gate",)},
    }
    return LiveFacts(**{**fields, **changes})


def _levels(facts: LiveFacts) -> dict[str, str]:
    return {finding.name: finding.level for finding in live_findings(facts, _ROBOT, demanded=True)}


def test_all_of_this_computer_is_judged_and_whatever_is_not_ok_has_a_remedy():
    findings = computer_findings()
    assert {"processor", "memory", "disk", "GPU", "real time", "shared memory"} <= {
        finding.name for finding in findings
    }
    assert all(finding.fix for finding in findings if finding.level != "ok")


def test_a_governor_that_saves_power_is_a_warning(tmp_path):
    file = tmp_path / "devices/system/cpu/cpu0/cpufreq/scaling_governor"
    file.parent.mkdir(parents=True)
    file.write_text("powersave\n")
    finding = processor(tmp_path)
    assert finding.level == "warning"
    assert "powersave" in finding.found
    file.write_text("performance\n")
    assert "cpupower" not in processor(tmp_path).fix


@pytest.mark.parametrize(("free_kb", "level"), [(500_000, "warning"), (8_000_000, "ok")])
def test_little_memory_is_a_warning(tmp_path, free_kb, level):
    (tmp_path / "meminfo").write_text(f"MemTotal: 16000000 kB\nMemAvailable: {free_kb} kB\n")
    assert memory(tmp_path).level == level


@pytest.mark.parametrize(("given", "level"), [(212_992, "warning"), (4_194_304, "ok"), (16_777_216, "ok")])
def test_sockets_that_cannot_keep_what_the_nodes_ask_for_are_a_warning_with_the_line_that_helps(tmp_path, given, level):
    assert sockets(tmp_path) == [], "a container may not be told"
    file = tmp_path / "sys/net/core/rmem_max"
    file.parent.mkdir(parents=True)
    file.write_text(f"{given}\n")
    (finding,) = sockets(tmp_path)
    assert finding.level == level
    assert (level == "ok") == (finding.fix == "")
    asked = Path(transport.__file__).with_name("loopback.xml").read_text()
    assert f"<receiveBufferSize>{4_194_304}<" in asked and (level == "ok" or str(4_194_304) in finding.fix)


def test_a_computer_that_refuses_real_time_is_told_the_lines_of_the_page():
    """The group was used before anything made it."""
    finding = real_time(priority=1000)  # which every kernel refuses
    assert finding.level == "warning" and "SCHED_FIFO 1000 not allowed" in finding.found
    page = _PAGE.with_name("realtime.md").read_text()
    for line in (
        "groupadd -f realtime && usermod -aG realtime USER",
        "@realtime - rtprio 98",
        "@realtime - memlock unlimited",
    ):
        assert line in finding.fix and line in page
    assert finding.fix.index("groupadd") < finding.fix.index("usermod")


def test_a_card_that_torch_cannot_use_is_a_warning_and_a_broken_driver_is_no_card(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    tool.write_text("#!/bin/sh\necho 'NVIDIA Made-Up, 24564 MiB, 550.54'\n")
    tool.chmod(0o755)
    finding = graphics_card()
    assert finding.level == "warning" and "NVIDIA Made-Up" in finding.found and "cannot use it" in finding.found
    assert finding.fix.endswith("GR00T_TORCH=cuda make setup")
    (tmp_path / "torch.py").write_text(
        "from types import SimpleNamespace as N\n"
        "__version__, version, cuda = '2.13.0+cu130', N(cuda='13.0'), N(is_available=lambda: False)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    finding = graphics_card()  # 550 is too old for it
    assert finding.level == "warning" and "torch 2.13.0+cu130 cannot use it" in finding.found
    assert "CUDA 13.0: the driver" in finding.fix and "580 or newer" in finding.fix and "make setup" not in finding.fix
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert graphics_card().level == "ok" and "none" in graphics_card().found


def test_a_middleware_that_is_not_installed_is_an_error_with_one_that_is(monkeypatch):
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_made_up_cpp")
    finding = middleware()
    assert finding.level == "error" and finding.found.startswith("rmw_made_up_cpp of ")
    assert "ros-jazzy-rmw-made-up-cpp" in finding.fix and "export RMW_IMPLEMENTATION=rmw_" in finding.fix
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    assert middleware().level == "ok"


def test_another_ros_is_a_warning_and_none_is_an_error_with_the_way_to_one(monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "humble")
    assert ros().level == "warning" and "made for Jazzy" in ros().fix
    monkeypatch.setitem(sys.modules, "rclpy", None)
    monkeypatch.setitem(sys.modules, "rclpy.utilities", None)
    for finding in (ros(), middleware()):
        assert finding.level == "error" and "make setup" in finding.fix


def test_a_computer_that_cannot_draw_is_an_error_with_the_last_word_of_the_one_that_tried(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "crayons")
    finding = rendering()
    assert finding.level == "error" and "crayons" in finding.found
    assert "apt-get install libegl1" in finding.fix


def test_the_disk_of_the_results_is_measured(tmp_path):
    said_gb = float(re.match(r"([\d.]+) GB free", disk(tmp_path).found)[1])
    assert said_gb == pytest.approx(shutil.disk_usage(tmp_path).free / 2**30, abs=2.0)  # others write to it, too


def test_segments_of_dead_processes_are_told_from_those_in_use(tmp_path):
    for name in ("fastrtps_dead", "fastrtps_alive"):
        (tmp_path / name).write_bytes(bytes(80 * 2**20))
        (tmp_path / f"{name}_el").touch()
    with (tmp_path / "fastrtps_alive_el").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert shared_memory.dead_segments(tmp_path) == ["fastrtps_dead"]
        (finding,) = leftovers(tmp_path)
    assert finding.level == "warning"
    assert "80 MB" in finding.found
    (tmp_path / "fastrtps_dead_el").unlink()
    (tmp_path / "fastrtps_alive").unlink()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("given", "level"), [("", "ok"), ("7", "ok"), ("150", "warning"), ("233", "error"), ("seven", "error")]
)
def test_a_domain_that_cannot_work_is_refused(given, level):
    assert domain({"ROS_DOMAIN_ID": given}).level == level


def test_the_libraries_take_one_line():
    finding = packages()
    assert finding.level == "ok"
    assert "safetensors" in finding.found


def test_a_checkpoint_that_does_not_fit_is_an_error_with_each_difference(tmp_path):
    assert checkpoint_finding(shipped_checkpoint(), "gr1").level == "ok"
    data = embodiment_to_dict(_ROBOT)
    data["joints"][0]["sign"], data["rate_hz"] = -1, 30.0
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump(data))
    finding = checkpoint_finding(shipped_checkpoint(), str(file))
    assert finding.level == "error"
    assert f"sign of {data['joints'][0]['name']}" in finding.found
    assert "rate_hz: checkpoint 20.0, robot 30.0" in finding.found
    assert "gr00t inspect" in finding.fix


def test_a_checkpoint_that_is_not_there_is_an_error(tmp_path):
    finding = checkpoint_finding(tmp_path / "nothing", "gr1")
    assert finding.level == "error"
    assert finding.fix


def test_a_healthy_robot_gives_no_warning():
    assert set(_levels(_good_facts()).values()) == {"ok"}


def test_a_slow_sensor_and_a_dry_run_are_warnings_and_a_picture_that_the_planner_refuses_is_an_error():
    slow = StreamFacts("joint_states", ("/driver",), 60, 30.0, 0.002, names=_ROBOT.joint_names)
    assert _levels(_good_facts(joints=slow))["joint_states"] == "warning"
    big = StreamFacts(_CAMERA, ("/driver",), 40, 20.0, 0.03, size=(1280, 800), encoding="bgr8")
    assert _levels(_good_facts(cameras={"ego_view": big}))[_CAMERA] == "error"
    assert _levels(_good_facts(commands={DRY_RUN_TOPIC: ("/command_gate",)}))["dry run"] == "warning"


def test_simulated_stamps_beside_a_clock_are_no_error():
    simulated = StreamFacts("joint_states", ("/sim",), 250, 125.0, 1.7e9, names=_ROBOT.joint_names)
    assert _levels(_good_facts(joints=simulated))["joint_states"] == "error"
    assert _levels(_good_facts(joints=simulated, clock=True))["joint_states"] == "warning"


def test_a_publisher_that_is_not_heard_is_an_error():
    deaf = StreamFacts("joint_states", ("/driver",))
    assert _levels(_good_facts(joints=deaf))["joint_states"] == "error"


def test_the_topics_known_to_the_code_are_those_on_the_page_of_interfaces():
    rows = [
        line.split("|")
        for line in _PAGE.read_text().split("The node `operator` listens")[0].splitlines()
        if line.startswith("| `")
    ]
    listed = {cells[1].strip().strip("`"): cells[2].split("`")[1].replace("/", "/msg/") for cells in rows}
    assert {topic.name: topic.type_name for topic in topics(_ROBOT)} == listed
