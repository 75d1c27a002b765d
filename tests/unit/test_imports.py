# SPDX-License-Identifier: Apache-2.0
"""What really gets loaded: a fresh interpreter imports a module and says which heavy libraries came with it."""

import importlib.util
import subprocess
import sys

import pytest

from workspace import PACKAGES

HEAVY = (
    "torch",
    "transformers",
    "tokenizers",
    "openvino",
    "nncf",
    "mujoco",
    "mink",
    "rclpy",
    "pyarrow",
    "av",
    "matplotlib",
)


def loaded(module: str) -> set[str]:
    """The heavy libraries that are there after importing ``module``."""
    program = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_nothing_heavy(package: str) -> None:
    assert loaded(package) == set()


def test_the_command_line_starts_without_anything_heavy() -> None:
    assert loaded("gr00t_bringup.cli") == set()


@pytest.mark.parametrize(
    "module",
    ["gr00t_safety.ros.command_gate_node", "gr00t_sim.ros.sim_node"],
)
def test_what_moves_the_robot_and_what_plays_it_start_without_torch(module: str) -> None:
    if importlib.util.find_spec(module.rpartition(".")[0]) is None or importlib.util.find_spec(module) is None:
        pytest.fail(f"{module} does not exist, but setup.py names it as an executable")
    assert loaded(module) & {"torch", "transformers", "openvino"} == set()
