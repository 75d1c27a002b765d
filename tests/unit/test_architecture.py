# SPDX-License-Identifier: Apache-2.0
"""Who may import whom. A rule that nobody runs is broken within a year."""

import sys
from pathlib import Path

import pytest

from workspace import MAY_IMPORT, MESSAGES, PACKAGES, SRC, Import, imports, inside, launch_files, library_files, short

ROS_PREFIXES = (
    "rclpy",
    "rcl_interfaces",
    "rosgraph_msgs",
    "builtin_interfaces",
    "launch",
    "launch_ros",
    "rosidl_",
    "ament_",
)
LAYERS = {"core": 0, "data": 1, "model": 1, "training": 2, "runtime": 2, "baseline": 2, "ros": 3}
# The files of the fast loop that evaluate the network; all others of runtime/ work without torch.
RUNTIME_WITH_NETWORK = {
    *("torch_backend.py", "graph_backend.py", "replay.py", "fp8_head.py"),
    *("engine_graphs.py", "folded_head.py", "onnx_graphs.py"),
}


def is_ros(module: Import) -> bool:
    return module.top.startswith(ROS_PREFIXES) or module.top.endswith(("_msgs", "_srvs"))


def violations(package: str, forbidden: object) -> list[str]:
    """'file:line imports module' for each import of the package that the function ``forbidden(path, import)`` names."""
    assert callable(forbidden)
    return [
        f"{short(path)}:{found.line} imports {found.module}"
        for path in library_files(package)
        for found in imports(path)
        if forbidden(path, found)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_lies_below_them(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}

    def forbidden(_: Path, found: Import) -> bool:
        return found.top in {*PACKAGES, MESSAGES} and found.top not in allowed

    assert violations(package, forbidden) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_ros_is_imported_only_below_ros_folders(package: str) -> None:
    def forbidden(path: Path, found: Import) -> bool:
        return is_ros(found) and inside(path, package)[0] != "ros"

    assert violations(package, forbidden) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_torch_is_imported_only_by_the_network_its_training_and_what_runs_it(package: str) -> None:
    def forbidden(path: Path, found: Import) -> bool:
        if found.top != "torch":
            return False
        place = inside(path, package)
        return package != "gr00t_policy" or not (
            place[0] in ("model", "training", "baseline")
            or (place[0] == "runtime" and place[-1] in RUNTIME_WITH_NETWORK)
        )

    assert violations(package, forbidden) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_vlm_library_is_imported_by_the_backbone_alone(package: str) -> None:
    def forbidden(path: Path, found: Import) -> bool:
        return found.top == "transformers" and (package, *inside(path, package)) != (
            "gr00t_policy",
            "model",
            "backbone.py",
        )

    assert violations(package, forbidden) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_tokenizers_belong_to_the_model_and_its_training(package: str) -> None:
    def forbidden(path: Path, found: Import) -> bool:
        return found.top == "tokenizers" and not (
            package == "gr00t_policy" and inside(path, package)[0] in ("model", "training", "baseline")
        )

    assert violations(package, forbidden) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_physics_is_imported_by_the_simulator_and_by_bringup_only(package: str) -> None:
    def forbidden(_: Path, found: Import) -> bool:
        return found.top in ("mujoco", "mink") and package not in ("gr00t_sim", "gr00t_bringup")

    assert violations(package, forbidden) == []


def test_inside_the_policy_no_layer_imports_one_above_it() -> None:
    def forbidden(path: Path, found: Import) -> bool:
        target = found.module.split(".")
        own = LAYERS.get(inside(path, "gr00t_policy")[0])
        return own is not None and target[0] == "gr00t_policy" and len(target) > 1 and LAYERS.get(target[1], -1) > own

    assert violations("gr00t_policy", forbidden) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_logic_never_imports_the_ros_folder_of_its_own_package(package: str) -> None:
    """Starters may: a module directly below the package that is a command-line verb."""

    def forbidden(path: Path, found: Import) -> bool:
        place = inside(path, package)
        return len(place) > 1 and place[0] not in ("ros", "bench") and found.module.startswith(f"{package}.ros")

    assert violations(package, forbidden) == []


def test_there_are_no_circles_between_files() -> None:
    modules = {module_name(path): path for package in PACKAGES for path in library_files(package)}
    below = {name: {found.module for found in imports(path)} & set(modules) for name, path in modules.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for target in sorted(below[name]):
                visit(target, (*way, name))
            done.add(name)

    for name in sorted(modules):
        visit(name, ())


def test_launch_files_import_ros_launch_bringup_and_the_standard_library_only() -> None:
    allowed = {"launch", "launch_ros", "ament_index_python", "gr00t_bringup", *sys.stdlib_module_names}
    wrong = [
        f"{short(path)} imports {found.module}"
        for path in launch_files()
        for found in imports(path)
        if found.top not in allowed
    ]
    assert wrong == []


def test_pickle_is_imported_nowhere() -> None:
    banned = {"pickle", "dill", "shelve", "marshal", "joblib", "cloudpickle"}
    wrong = [
        short(path)
        for package in PACKAGES
        for path in library_files(package)
        for found in imports(path)
        if found.top in banned
    ]
    assert wrong == []


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
