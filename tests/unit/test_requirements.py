# SPDX-License-Identifier: Apache-2.0
"""The pinned sets: each line has a hash, one version per library everywhere, and all that the code imports is there."""

import importlib.metadata
import re
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

from workspace import MESSAGES, PACKAGES, ROOT, imports, library_files, short

FOLDER = ROOT / "requirements"
LOCKS = sorted(FOLDER.glob("*.txt"))
# Imported names that are not the name of what is installed.
DISTRIBUTION = {"yaml": "pyyaml", "PIL": "pillow", "OpenGL": "pyopengl", "pinocchio": "pin"}
NOT_ON_PYPI = {"launch", "launch_ros", "ament_index_python"}  # with the system's ROS only


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: Path) -> dict[str, str]:
    """Library -> pinned version of one set."""
    found = re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(), re.MULTILINE)
    return {canonical(name): version for name, version in found}


def wishes(name: str) -> set[str]:
    lines = (FOLDER / f"{name}.in").read_text().splitlines()
    return {canonical(re.split(r"[<>=~!\s]", line)[0]) for line in lines if line and not line.startswith("#")}


def test_every_pin_has_a_hash() -> None:
    for lock in LOCKS:
        for block in re.split(r"\n(?=\S)", lock.read_text()):
            if "==" in block and not block.startswith("#"):
                assert "--hash=sha256:" in block, f"{lock.name}: {block.splitlines()[0]}"


def test_every_wish_is_pinned() -> None:
    for source in FOLDER.glob("*.in"):
        assert wishes(source.stem) <= set(pins(source.with_suffix(".txt"))), source.name


def test_a_library_has_the_same_version_in_every_set() -> None:
    versions = defaultdict(set)
    for lock in LOCKS:
        for name, version in pins(lock).items():
            versions[name].add(version.partition("+")[0])
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_what_torch_needs_is_pinned_without_torch_too() -> None:
    needs = {
        name for name in pins(FOLDER / "torch-cuda.txt") if not name.startswith(("torch", "nvidia-", "cuda-", "triton"))
    }
    assert needs <= set(pins(FOLDER / "runtime.txt"))


def test_every_library_that_the_code_imports_is_a_wish_of_a_set_that_users_get() -> None:
    sets = [source.stem for source in FOLDER.glob("*.in") if source.stem != "dev"]
    alone = re.findall(r"^([\w-]+)==", (FOLDER / "no-deps.txt").read_text(), re.MULTILINE)
    wished = set().union(*map(wishes, sets), alone)
    wrong = {}
    for package in PACKAGES:
        for path in library_files(package):
            for found in imports(path):
                if is_third_party(found.top) and not (distributions(found.top) & wished):
                    wrong[found.top] = short(path)
    assert wrong == {}


def is_third_party(module: str) -> bool:
    if module in sys.stdlib_module_names or module in NOT_ON_PYPI or module in {*PACKAGES, MESSAGES}:
        return False
    return not module.startswith("rcl") and not module.endswith(("_msgs", "_srvs", "_interfaces"))


installed = cache(importlib.metadata.packages_distributions)  # reads what every library says of itself, a second's work


def distributions(module: str) -> set[str]:
    """Names under which the library that provides ``module`` may be installed."""
    provided = installed().get(module, [])
    return {canonical(DISTRIBUTION.get(module, module)), *(canonical(name) for name in provided)}
