# SPDX-License-Identifier: Apache-2.0
"""The software: Python, ROS and its middleware, the libraries, the nodes, off-screen rendering."""

import importlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from gr00t_bringup.health.finding import Finding, error, ok, warning
from gr00t_bringup.nodes import NODES

_SETUP = "make setup"
_APT_GL = "apt-get install libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri"
_RENDER = (
    "import os; os.environ.setdefault('MUJOCO_GL', 'egl'); import mujoco; "
    "m = mujoco.MjModel.from_xml_string('<mujoco/>'); r = mujoco.Renderer(m, 8, 8); "
    "d = mujoco.MjData(m); mujoco.mj_forward(m, d); r.update_scene(d); r.render(); r.close()"
)
_PACKAGES = {  # distribution -> what it is needed for
    "numpy": "everything",
    "torch": "training and the plain model",
    "transformers": "vision and language towers",
    "openvino": "the fast path",
    "mujoco": "simulation",
    "mink": "the scripted experts",
    "fourier-robot-descriptions": "the robot's shape",
    "av": "films and datasets",
    "mcap": "bags",
    "rosbags": "reading bags",
    "pyarrow": "datasets",
    "safetensors": "weights",
    "tyro": "the command line",
    "rich": "tables and progress",
}
# Ports of higher domains lie among those that Linux hands to other programs: docs.ros.org, "The ROS_DOMAIN_ID".
_LAST_DOMAIN, _LAST_SAFE_DOMAIN = 232, 101


def software_findings() -> list[Finding]:
    """All of them, in the order of reading."""
    return [python(), ros(), middleware(), domain(os.environ), messages(), packages(), nodes(), rendering(), launch()]


def python() -> Finding:
    found = f"{platform.python_version()} in {sys.prefix}"
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        return ok("Python", found)
    return error("Python", found, "install python3.11 or 3.12, then make setup")


def ros() -> Finding:
    module = _imported("rclpy")
    distro = os.environ.get("ROS_DISTRO", "")
    if module is None or module.__file__ is None:
        return error("ROS 2", "rclpy cannot be imported", f"run through ./gr00t, or: {_SETUP}")
    source = "wheels" if Path(module.__file__).is_relative_to(sys.prefix) else "sourced installation"
    found = f"{distro or 'no ROS_DISTRO'}, {source}, {Path(module.__file__).parent}"
    return ok("ROS 2", found) if distro == "jazzy" else warning("ROS 2", found, "the suite is made for Jazzy")


def middleware() -> Finding:
    """The RMW that is chosen must be there."""
    utilities = _imported("rclpy.utilities")
    chosen = os.environ.get("RMW_IMPLEMENTATION", "")
    if utilities is None:
        return error("middleware", "no rclpy, so none", _SETUP)
    present = sorted(utilities.get_available_rmw_implementations())
    found = f"{chosen or 'default'} of {', '.join(present) or 'none'}"
    if not present or (chosen and chosen not in present):
        name = (chosen or "rmw_fastrtps_cpp").replace("_", "-")
        fix = f"apt-get install ros-jazzy-{name}, or: export RMW_IMPLEMENTATION={present[0] if present else ''}"
        return error("middleware", found, fix)
    if chosen not in ("", "rmw_fastrtps_cpp"):
        return warning("middleware", found, "the suite is tested on rmw_fastrtps_cpp")
    return ok("middleware", found)


def domain(environment: Mapping[str, str]) -> Finding:
    """Domain and reach of discovery; every machine of a robot must have the same."""
    text = environment.get("ROS_DOMAIN_ID", "") or "0"
    reach = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    if environment.get("ROS_LOCALHOST_ONLY") == "1":
        reach = "LOCALHOST (by ROS_LOCALHOST_ONLY)"
    transport = _imported("gr00t_policy.ros.transport")
    sockets = transport is not None and bool(transport.sockets_only(environment))
    found = f"domain {text}, range {reach}, {'sockets only' if sockets else 'transport as configured'}"
    if not text.isdigit() or int(text) > _LAST_DOMAIN:
        return error("DDS", found, f"export ROS_DOMAIN_ID=N with N in 0 to {_LAST_SAFE_DOMAIN}")
    if int(text) > _LAST_SAFE_DOMAIN:
        return warning("DDS", found, f"choose 0 to {_LAST_SAFE_DOMAIN}: ports of higher domains may be taken")
    return ok("DDS", found)


def messages() -> Finding:
    module = _imported("gr00t_msgs.msg")
    if module is None:
        return error("gr00t_msgs", "cannot be imported", f"{_SETUP}; on a sourced ROS: source install/setup.bash")
    return ok("gr00t_msgs", "built")


def packages() -> Finding:
    """The libraries as one line; the missing ones by name and use."""
    versions, missing = {}, []
    for name, use in _PACKAGES.items():
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(f"{name} ({use})")
    if missing:
        return error("libraries", f"missing: {', '.join(missing)}", _SETUP)
    return ok("libraries", ", ".join(f"{name} {version}" for name, version in versions.items()))


def nodes() -> Finding:
    missing = [node.name for node in NODES if _imported(node.module) is None]
    if missing:
        return error("nodes", f"cannot be imported: {', '.join(missing)}", _SETUP)
    return ok("nodes", ", ".join(node.name for node in NODES))


def rendering() -> Finding:
    """Off-screen, as the simulator draws its camera."""
    backend = os.environ.get("MUJOCO_GL", "egl")
    try:
        done = subprocess.run([sys.executable, "-c", _RENDER], capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return error("rendering", f"{backend} gave no picture in 60 s", _APT_GL)
    if done.returncode == 0:
        return ok("rendering", backend)
    return error("rendering", (done.stderr.strip().splitlines() or ["it ended without a word"])[-1], _APT_GL)


def launch() -> Finding:
    if _imported("launch_ros"):
        return ok("ros2 launch", "installed")
    return ok("ros2 launch", "not installed (comes with a ROS 2 installation); `gr00t demo` starts the nodes itself")


def _imported(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
