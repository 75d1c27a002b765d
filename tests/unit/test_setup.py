# SPDX-License-Identifier: Apache-2.0
"""The set-up scripts: they are valid shell, keep traffic on this machine, and correct the wheels' paths once."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

from headless_browser import NAMES, PACKAGE
from workspace import ROOT

SCRIPTS = sorted(
    [
        *(ROOT / "setup").glob("*.sh"),
        *(ROOT / name for name in ("gr00t", ".ci/run", "requirements/lock.sh", "docker/entrypoint.sh")),
    ]
)


def fix_wheel_paths() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fix_wheel_paths", ROOT / "setup" / "fix_wheel_paths.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sourced(variable: str, **environment: str) -> str:
    """Value of a variable after sourcing the environment script in a shell that has nothing else set."""
    bare = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
    command = f'source "{ROOT}/setup/environment.sh"; printf %s "${{{variable}:-}}"'
    done = subprocess.run(["bash", "-c", command], env=bare, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_valid_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=60)


@pytest.mark.parametrize("script", ["gr00t", "setup/run.sh", ".ci/run", "requirements/lock.sh", "docker/entrypoint.sh"])
def test_scripts_that_are_started_are_executable(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


def test_containers_that_run_under_the_nvidia_runtime_ask_for_its_gpus() -> None:
    """One that does not is started without a GPU, and without a word."""
    composed = [yaml.safe_load(path.read_text())["services"] for path in sorted((ROOT / "docker").glob("*.yaml"))]
    served = [service for services in composed for service in services.values() if service.get("runtime") == "nvidia"]
    assert served
    assert all(service["environment"].get("NVIDIA_VISIBLE_DEVICES") == "all" for service in served)


def test_traffic_stays_on_this_machine_when_the_user_says_nothing() -> None:
    assert sourced("ROS_AUTOMATIC_DISCOVERY_RANGE") == "LOCALHOST"


@pytest.mark.parametrize("variable", ["ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_STATIC_PEERS", "ROS_DISCOVERY_SERVER"])
def test_what_the_user_says_about_discovery_is_kept(variable: str) -> None:
    assert sourced(variable, **{variable: "SUBNET"}) == "SUBNET"
    if variable != "ROS_AUTOMATIC_DISCOVERY_RANGE":
        assert sourced("ROS_AUTOMATIC_DISCOVERY_RANGE", **{variable: "SUBNET"}) == ""


def test_headless_rendering_is_the_default_and_no_order() -> None:
    assert sourced("MUJOCO_GL") == "egl"
    assert sourced("MUJOCO_GL", MUJOCO_GL="glfw") == "glfw"


@pytest.mark.parametrize("sourced_already", [False, True])
def test_the_systems_ros_is_sourced_unless_it_is_also_where_its_name_is_set(
    tmp_path: Path, sourced_already: bool
) -> None:
    prefix = tmp_path / "ros"
    for folder in (prefix, tmp_path / "setup", tmp_path / ".venv"):
        folder.mkdir()
    (prefix / "setup.bash").write_text(f'export AMENT_PREFIX_PATH="{prefix}" SOURCED=again\n')
    (tmp_path / ".venv" / "ros-prefix").write_text(f"{prefix}\n")
    shutil.copy(ROOT / "setup" / "environment.sh", tmp_path / "setup")
    bare = {"PATH": os.environ["PATH"], "ROS_DISTRO": "jazzy"}  # as ROS's own image has it
    given = bare | ({"AMENT_PREFIX_PATH": f"/mine:{prefix}"} if sourced_already else {})
    command = f'source "{tmp_path}/setup/environment.sh"; printf "%s %s" "$AMENT_PREFIX_PATH" "${{SOURCED:-}}"'
    done = subprocess.run(["bash", "-c", command], env=given, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == (f"/mine:{prefix} " if sourced_already else f"{prefix} again")


def test_libraries_of_another_ros_are_not_seen_by_the_wheels() -> None:
    if (ROOT / ".venv" / "ros-prefix").exists():
        pytest.skip("this environment uses the system's ROS")
    foreign = {"ROS_DISTRO": "humble", "PYTHONPATH": "/opt/ros/humble/lib", "LD_LIBRARY_PATH": "/opt/ros/humble/lib"}
    for variable in (*foreign, "AMENT_PREFIX_PATH"):
        assert "humble" not in sourced(variable, AMENT_PREFIX_PATH="/opt/ros/humble", **foreign)


def test_paths_of_the_build_machine_are_replaced_once(tmp_path: Path) -> None:
    file = tmp_path / "package" / "export.cmake"
    file.parent.mkdir()
    foreign = "/opt/python/cp311-cp311"
    file.write_text(
        f'set(A "{foreign}/include/python3.11;{foreign}/lib/python3.11/site-packages/numpy/_core/include")\n'
    )
    fix = fix_wheel_paths().fix_paths
    assert fix(tmp_path) == 1
    assert file.read_text() == f'set(A "{sysconfig.get_path("include")};{np.get_include()}")\n'
    assert fix(tmp_path) == 0


def test_colcon_meta_names_packages_that_exist() -> None:
    names = json.loads((ROOT / "colcon.meta").read_text())["names"]
    assert all((ROOT / "src" / name / "package.xml").is_file() for name in names)


def set_up_browser(folder: Path, changed: str = "", **environment: str) -> str:
    """What set-up of the browser says, twice, into an environment of its own."""
    script = f"""
        set -eo pipefail
        venv="{folder}/venv" stamps="{folder}/venv/stamps" log=/dev/null GR00T_CHROMIUM=/some/browser
        mkdir -p "$stamps"
        say() {{ printf '%s\\n' "$*"; }}
        quietly() {{ ("$@") >/dev/null 2>&1; }}
        source "{ROOT}/setup/browser.sh"
        {changed}
        set_up_browser; set_up_browser; echo the end
    """
    command = ["bash", "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_an_emulated_headset_other_than_the_pinned_one_is_not_used_which_ends_nothing_and_is_not_tried_twice(
    tmp_path: Path,
) -> None:
    tried = tmp_path / "tried"
    npm = tmp_path / "npm"
    npm.write_text(f'#!/bin/sh\necho "$@" >>"{tried}"\necho other >"iwer-${{4#iwer@}}.tgz"\n')
    npm.chmod(0o755)
    said = set_up_browser(tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert "the tests that need it will be skipped" in said and said.endswith("the end\n")
    assert tried.read_text().count("pack --prefer-offline --fetch-retries=0 iwer@") == 1
    assert list((tmp_path / "venv").rglob("*.js")) == []


@pytest.mark.parametrize("is_pinned", [True, False])
def test_without_npm_the_emulated_headset_comes_from_npms_registry_and_is_checked(
    tmp_path: Path, is_pinned: bool
) -> None:
    made, tarball = tmp_path / "package", tmp_path / "made.tgz"
    (made / "build").mkdir(parents=True)
    (made / "build" / "iwer.min.js").write_text("emulated")
    (made / "LICENSE").write_text("MIT")
    subprocess.run(["tar", "-czf", tarball, "-C", tmp_path, "package"], check=True)
    asked: list[str] = []

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(tarball.read_bytes())

        def log_message(self, *_: object) -> None:
            pass

    tools = tmp_path / "tools"  # all but npm
    tools.mkdir()
    for name in ("bash", "cat", "date", "dirname", "mkdir", "mv", "rm", "sha512sum", "tar", "gzip", "timeout", "id"):
        (tools / name).symlink_to(str(shutil.which(name)))
    (tools / "python3").symlink_to(sys.executable)
    pinned = f"iwer_sha512={hashlib.sha512(tarball.read_bytes()).hexdigest()}" if is_pinned else ""
    with HTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/npm/"
        said = set_up_browser(tmp_path, pinned, PATH=str(tools), NPM_CONFIG_REGISTRY=address, no_proxy="*")
        server.shutdown()
    assert [path.startswith("/npm/iwer/-/iwer-") and path.endswith(".tgz") for path in asked] == [True]
    found = [path.read_text() for path in (tmp_path / "venv").rglob("*.js")]
    assert found == (["emulated"] if is_pinned else [])
    assert ("the tests that need it will be skipped" in said) is not is_pinned


@pytest.mark.parametrize(
    ("linter", "options", "files"),
    [
        ("hadolint", [], {"docker/Dockerfile"}),
        ("shellcheck", ["--external-sources"], {str(path.relative_to(ROOT)) for path in SCRIPTS}),
    ],
)
def test_make_check_fails_on_what_a_linter_finds_and_says_so_where_there_is_no_linter(
    tmp_path: Path, linter: str, options: list[str], files: set[str]
) -> None:
    steps = subprocess.run(["make", "-n", "check"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    (line,) = (line for line in steps.stdout.splitlines() if f"command -v {linter} " in line)

    def lint() -> subprocess.CompletedProcess[str]:
        bash = [str(shutil.which("bash")), "-c", line.partition("environment.sh && ")[2]]
        return subprocess.run(
            bash, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False
        )

    without = lint()
    assert without.returncode == 0
    assert without.stdout.startswith(f"{linter} is not installed: ") and without.stdout.endswith(" not checked\n")
    (tmp_path / linter).write_text(f'#!{shutil.which("sh")}\necho "$@"; exit 1\n')
    (tmp_path / linter).chmod(0o755)
    found = lint()
    assert found.returncode == 1
    asked = found.stdout.split()
    assert (asked[: len(options)], set(asked[len(options) :])) == (options, files)


def test_set_up_and_tests_look_for_the_same_browsers() -> None:
    script = (ROOT / "setup" / "browser.sh").read_text()
    names = script.split("command -v ")[1].split(" >/dev/null")[0].replace('"', "").replace("$browser_package", PACKAGE)
    assert names.split() == list(NAMES)
