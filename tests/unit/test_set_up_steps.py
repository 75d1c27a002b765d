# SPDX-License-Identifier: Apache-2.0
"""What set-up does and does not do, by the real scripts in a workspace of their own.

The programs of the system that they call (apt-get, the interpreter with pip and colcon, id, ldconfig) are stand-ins that
write down how they were called.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from workspace import ROOT

SETS = ("ros", "torch-cpu", "build", "runtime", "sim", "train", "teleop", "no-deps")
_REAL = (
    *("bash", "cat", "cmp", "cp", "cut", "dirname", "env", "find", "flock", "grep", "ls", "mkdir", "rm", "sha256sum"),
    *("sleep", "sort", "tail", "tr", "xargs"),
)
_STAND_INS = {
    "apt-get": 'echo "apt-get $*" >>"$CALLS"',
    "id": 'echo "$USER_NUMBER"',
    "ldconfig": "echo libEGL.so.1 libEGL_mesa.so.0 libGL.so.1",
    **dict.fromkeys(("cmake", "g++", "make"), ":"),
    # An interpreter. Scripts on its standard input ask which it is ("-") and whether an environment is usable ("- FOLDER").
    "python3": r"""
        case "$*" in
            -V) echo "Python 3.11.2"; exit ;;
            -) cat >/dev/null; echo "$0"; exit ;;
            "- "*) cat >/dev/null; exit ;;
        esac
        echo "python $*" >>"$CALLS"
        if [ -n "$FAILING" ]; then case "$*" in *"$FAILING"*) echo "no route to host"; exit 1 ;; esac; fi
        case "$*" in
            "-m venv "*) for folder; do :; done; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python"; : >"$folder/pyvenv.cfg" ;;
        esac""",
}


@dataclass(frozen=True)
class Machine:
    """A workspace with the real scripts, and a PATH with stand-ins."""

    root: Path
    tools: Path

    def set_up(
        self, *options: str, user: int = 0, failing: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run set-up as a user; calls of the interpreter that have ``failing`` in them fail."""
        calls = self.root.parent / "calls"
        calls.write_text("")
        bare = {"PATH": str(self.tools), "CALLS": str(calls), "USER_NUMBER": str(user), "FAILING": failing}
        command = [str(self.tools / "bash"), str(self.root / "setup" / "run.sh"), *options]
        return subprocess.run(
            command, env=bare | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    @property
    def calls(self) -> list[str]:
        """Of the last set-up."""
        return (self.root.parent / "calls").read_text().splitlines()

    @property
    def installed(self) -> list[str]:
        """Names of the sets that the last set-up asked pip to install, in order."""
        return [Path(call.split()[-1]).stem for call in self.calls if "--requirement" in call]

    @property
    def built(self) -> bool:
        """Whether the last set-up built the workspace."""
        return any("-m colcon " in call for call in self.calls)

    def without(self, tool: str) -> None:
        (self.tools / tool).unlink()

    def change(self, file: str) -> None:
        path = self.root / file
        path.write_text(path.read_text() + "# changed\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    root, tools = tmp_path / "workspace", tmp_path / "tools"
    for folder, pattern in (("setup", "*"), ("requirements", "*.txt")):
        (root / folder).mkdir(parents=True)
        for path in (ROOT / folder).glob(pattern):
            if path.is_file():
                shutil.copy(path, root / folder)
    for file in ("package.xml", "msg/Tokens.msg", "srv/Reset.srv", "action/Do.action", "launch/all.launch.py"):
        path = root / "src" / "gr00t_msgs" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (root / "colcon.meta").write_text("{}")
    tools.mkdir()
    for name in _REAL:
        (tools / name).symlink_to(str(shutil.which(name)))
    for name, script in _STAND_INS.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    return Machine(root, tools)


@pytest.fixture
def jazzy(tmp_path: Path) -> dict[str, str]:
    """What sourcing an installation of ROS 2 Jazzy, and a workspace above it, leaves in the environment."""
    prefix = tmp_path / "opt" / "ros" / "jazzy"
    (prefix / "share" / "rclpy").mkdir(parents=True)
    (prefix / "share" / "rclpy" / "package.xml").write_text("")
    (prefix / "setup.bash").write_text("export ROS_DISTRO=jazzy\n")
    return {
        "ROS_DISTRO": "jazzy",
        "AMENT_PREFIX_PATH": f"{tmp_path}/overlay/install:{prefix}",
        "PYTHON": str(tmp_path / "tools" / "python3"),
    }


def test_a_bare_machine_gets_every_set_by_its_hashes_and_the_build_and_the_second_run_repeats_nothing(machine: Machine):
    first = machine.set_up()
    assert first.returncode == 0, first.stderr
    assert machine.installed == list(SETS)
    assert all("--no-deps --require-hashes" in call for call in machine.calls if " install " in call)
    order = [call.split()[1:3] for call in machine.calls if "--requirement" not in call]
    assert order[0] == ["-m", "venv"] and order[-2:] == [["-m", "colcon"], ["-m", "compileall"]]
    assert any(call.endswith("setup/fix_wheel_paths.py") for call in machine.calls)
    assert "--system-site-packages" not in machine.calls[0]
    second = machine.set_up()
    assert (second.returncode, machine.calls, second.stderr) == (0, [], "")


@pytest.mark.parametrize("name", ["my robot", "my\trobot"])
def test_a_folder_with_white_space_in_its_path_is_refused_at_once_in_one_line(machine: Machine, name: str):
    elsewhere = Machine(machine.root.rename(machine.root.with_name(name)), machine.tools)
    refused = elsewhere.set_up()
    assert (refused.returncode, elsewhere.calls) == (1, [])
    assert not (elsewhere.root / "log").exists() and not (elsewhere.root / ".venv").exists()
    (line,) = refused.stderr.splitlines()
    assert f"'{elsewhere.root}' has white space in its path" in line and "move or clone it" in line


def test_what_changed_is_done_again_and_nothing_else(machine: Machine):
    machine.set_up()
    machine.change("requirements/train.txt")
    assert machine.set_up().returncode == 0
    assert (machine.installed, machine.built) == (["train"], False)
    machine.change("src/gr00t_msgs/msg/Tokens.msg")
    assert machine.set_up().returncode == 0
    assert (machine.installed, machine.built) == ([], True)
    (machine.root / "src/gr00t_msgs/launch/another.launch.py").write_text("")
    machine.set_up()
    assert machine.built, "a new file of a folder whose files are linked"


def test_a_step_that_fails_ends_the_set_up_is_not_marked_as_done_and_is_where_the_next_run_begins(machine: Machine):
    failed = machine.set_up(failing="requirements/sim.txt")
    assert failed.returncode == 1
    assert "no route to host" in failed.stderr, "the end of the log"
    assert failed.stderr.splitlines()[-1].startswith("set-up failed: ")
    assert (machine.installed[-1], machine.built) == ("sim", False)
    assert machine.set_up().returncode == 0
    assert (machine.installed, machine.built) == ([*SETS[SETS.index("sim") :]], True)


def test_a_step_that_was_done_and_fails_with_something_new_is_done_again_with_the_old(machine: Machine):
    """Half of the new may be installed."""
    machine.set_up()
    lock = machine.root / "requirements" / "sim.txt"
    old = lock.read_text()
    machine.change("requirements/sim.txt")
    assert machine.set_up(failing="requirements/sim.txt").returncode == 1
    lock.write_text(old)
    assert machine.set_up().returncode == 0
    assert machine.installed == ["sim"]


def test_a_build_that_fails_is_done_again(machine: Machine):
    assert machine.set_up(failing="-m colcon").returncode == 1
    assert machine.set_up().returncode == 0
    assert (machine.installed, machine.built) == ([], True)


def test_who_is_not_root_is_told_in_one_line_what_to_install_and_nothing_is_done(machine: Machine):
    machine.without("cmake")
    machine.without("g++")
    done = machine.set_up(user=1000)
    assert (done.returncode, machine.calls, done.stdout) == (1, [], "")
    wanted = "Run: sudo apt-get update && sudo apt-get install -y cmake g++"
    assert done.stderr == f"set-up failed: system packages are missing. {wanted}\n"
    assert not (machine.root / ".venv").exists()


def test_who_is_not_root_needs_nobody_when_nothing_is_missing(machine: Machine):
    assert machine.set_up(user=1000).returncode == 0
    assert not any(call.startswith("apt-get") for call in machine.calls)


def test_root_gets_what_is_missing_and_no_more(machine: Machine):
    machine.without("make")
    (machine.tools / "ldconfig").write_text("#!/bin/sh\necho libGL.so.1 libEGL_mesa.so.0\n")
    assert machine.set_up().returncode == 0
    apt = [call for call in machine.calls if call.startswith("apt-get")]
    assert apt == ["apt-get update", "apt-get install -y --no-install-recommends make libegl1"]
    assert machine.calls[: len(apt)] == apt, "before anything else"


def test_a_system_without_apt_is_told_what_debian_calls_what_is_missing(machine: Machine):
    machine.without("make")
    machine.without("apt-get")
    done = machine.set_up()
    assert (done.returncode, machine.calls) == (1, [])
    assert done.stderr.startswith("set-up failed: this system lacks what Debian calls: make. ")


def test_with_jazzy_sourced_its_ros_is_used_and_no_wheels_are_installed(machine: Machine, jazzy: dict[str, str]):
    first = machine.set_up(user=1000, **jazzy)
    assert first.returncode == 0, first.stderr
    assert machine.installed == [name for name in SETS if name != "ros"]
    assert not any("fix_wheel_paths" in call for call in machine.calls)
    assert "--system-site-packages" in machine.calls[0]
    assert (machine.root / ".venv" / "ros-prefix").read_text().strip() == jazzy["AMENT_PREFIX_PATH"].split(":")[1]
    machine.set_up(user=1000)
    assert machine.calls == [], "what was chosen stays, also in a shell in which ROS is not sourced"


def test_an_environment_of_wheels_makes_way_when_jazzy_is_sourced(machine: Machine, jazzy: dict[str, str]):
    machine.set_up()
    assert machine.set_up(**jazzy).returncode == 0
    assert "--system-site-packages" in machine.calls[0]
    assert machine.installed == [name for name in SETS if name != "ros"]


@pytest.mark.parametrize("changed", [{"ROS_DISTRO": "humble"}, {"AMENT_PREFIX_PATH": "/workspace/.venv"}])
def test_another_ros_or_none_that_is_installed_means_wheels(
    machine: Machine, jazzy: dict[str, str], changed: dict[str, str]
):
    assert machine.set_up(**jazzy | changed).returncode == 0
    assert machine.installed == list(SETS)


def test_without_a_small_torch_within_reach_pypis_is_taken_and_kept(machine: Machine):
    done = machine.set_up(failing="torch-cpu.txt")
    assert done.returncode == 0 and "taking PyPI's" in done.stdout
    torch = [call for call in machine.calls if "requirements/torch" in call]
    assert ["--index-url https://download.pytorch.org/whl/cpu" in call for call in torch] == [False, True, False]
    assert torch[-1].endswith("/torch-cuda.txt")
    machine.set_up()
    assert machine.installed == []


def test_a_kind_of_torch_that_is_not_there_is_refused(machine: Machine):
    done = machine.set_up(GR00T_TORCH="rocm")
    assert done.returncode == 1 and "GR00T_TORCH=rocm: choose cpu or cuda" in done.stderr


def test_only_packages_means_no_build(machine: Machine):
    assert machine.set_up("--packages-only").returncode == 0
    assert machine.installed == list(SETS) and not machine.built


def test_the_stand_ins_hide_the_real_programs(machine: Machine):
    """Else these tests would install something."""
    for name in ("apt-get", "pip", "python3", "colcon"):
        found = shutil.which(name, path=str(machine.tools))
        assert found is None or (Path(found).parent == machine.tools and not os.path.islink(found))
