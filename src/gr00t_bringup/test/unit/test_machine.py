# SPDX-License-Identifier: Apache-2.0
"""Naming the machine and what runs on it."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import (
    CpuTimes,
    busiest_others,
    cpu_seconds,
    cpu_shares,
    cpu_times,
    memory_of,
    process_memory,
    this_machine,
)
from gr00t_policy.core.errors import ConfigError


def test_this_machine_has_a_name_cores_and_memory():
    machine = this_machine()
    assert machine.cpu
    assert machine.cores >= 1
    assert machine.memory_gb > 0.1


def test_what_a_measurement_was_made_with_is_named():
    machine = this_machine()
    assert abs((datetime.now(UTC) - datetime.fromisoformat(machine.date)).total_seconds()) < 60
    assert machine.date.endswith("+00:00")
    assert machine.kernel == platform.release()
    assert machine.versions["python"] == platform.python_version()
    assert {"torch", "openvino", "rclpy", "mujoco"} <= set(machine.versions)
    assert machine.versions["torch"] == importlib.metadata.version("torch")


def test_a_graphics_card_is_named_as_its_driver_names_it_and_a_board_by_its_own_name(tmp_path):
    (tmp_path / "cpuinfo").write_text("model name : A CPU\n")
    (tmp_path / "meminfo").write_text("MemTotal: 1048576 kB\n")
    assert this_machine(tmp_path).gpu is None
    (tmp_path / "device-tree").mkdir()
    (tmp_path / "device-tree/model").write_bytes(b"NVIDIA Jetson AGX Orin\0")
    assert this_machine(tmp_path).gpu == "NVIDIA Jetson AGX Orin"
    for number in (1, 2):
        card = tmp_path / f"driver/nvidia/gpus/0000:0{number}:00.0"
        card.mkdir(parents=True)
        (card / "information").write_text(f"Model: \t\t NVIDIA H100 {number}\nIRQ: 5\n")
    assert this_machine(tmp_path).gpu == "NVIDIA H100 1, NVIDIA H100 2"


def test_our_own_memory_is_plausible_and_a_gone_process_has_none():
    memory = process_memory(os.getpid())
    assert memory is not None
    assert 5 < memory.now_mb <= memory.peak_mb
    assert memory.anonymous_mb + memory.mapped_mb == pytest.approx(memory.now_mb, rel=0.02)
    assert process_memory(2**22 + 1) is None
    assert list(memory_of({"gone": 2**22 + 1, "ours": os.getpid()})) == ["ours"]


def test_cpu_time_of_this_process_is_known():
    name, used_s = cpu_seconds()[os.getpid()]
    assert name
    assert used_s > 0


def test_others_are_ranked_by_share_of_a_core_and_ours_left_out():
    before = {1: ("a", 10.0), 2: ("b", 5.0)}
    after = {1: ("a", 12.0), 2: ("b", 9.0), 3: ("a", 3.0), 4: ("idle", 0.001)}
    assert busiest_others(before, after, ours={2}, elapsed_s=10.0) == {"a": 0.5}


def test_json_that_cannot_be_written_is_one_sentence_with_the_file_and_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/a\.json cannot be written .*; make room, or name another file"):
        write_json(tmp_path / "file" / "a.json", {"a": 1})


def test_json_has_null_for_what_is_not_a_number(tmp_path):
    write_json(tmp_path / "deep" / "a.json", {"a": float("nan"), "b": [1.5, float("inf")]})
    assert (tmp_path / "deep" / "a.json").read_text().split() == [
        "{",
        '"a":',
        "null,",
        '"b":',
        "[",
        "1.5,",
        "null",
        "]",
        "}",
    ]


def test_the_share_of_each_named_process_is_its_cpu_time_over_the_time_that_passed():
    before = {1: ("a", 10.0), 2: ("b", 5.0)}
    after = {1: ("a", 12.0), 2: ("b", 5.0), 3: ("c", 1.0)}
    assert cpu_shares(before, after, {"sim": 1, "gate": 2, "new": 3, "gone": 4}, 4.0) == {
        "sim": 0.5,
        "gate": 0.0,
        "new": 0.25,
    }


def test_time_of_all_cores_counts_what_has_ended_and_what_the_host_took(tmp_path):
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text("cpu  100 20 30 9999 50 4 6 77 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
    assert cpu_times(tmp_path) == CpuTimes(pytest.approx(160 * tick_s), pytest.approx(77 * tick_s))
    before = cpu_times()
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    assert cpu_times().busy_s > before.busy_s
