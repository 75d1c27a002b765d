# SPDX-License-Identifier: Apache-2.0
"""The pages say what the code does: parameters, verbs, launch arguments, topics, files."""

import re
from pathlib import Path

import pytest

from gr00t_bringup.cli import VERBS
from gr00t_bringup.nodes import NODES, parameter_files, settings_type, share_folder
from gr00t_bringup.parameter_tables import parameter_table, with_tables
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.settings import settings_fields
from gr00t_sim.layout_ranges import with_table
from gr00t_sim.tasks.registry import SUITES, TASKS

_ROOT = Path(__file__).resolve().parents[4]
_INTERFACES = (_ROOT / "docs" / "interfaces.md").read_text()
_README = (_ROOT / "README.md").read_text()
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_the_parameter_table_of_each_node_is_up_to_date(node):
    assert parameter_table(node) in _INTERFACES, "run: python -m gr00t_bringup.parameter_tables docs/interfaces.md"


@pytest.mark.parametrize("node", [node for node in NODES if node.loads_checkpoint], ids=lambda node: node.name)
def test_the_comments_of_planner_and_controller_settings_begin_with_the_parameters_descriptions(node):
    fields, said = settings_fields(settings_type(node)), {}
    for file in parameter_files("gr1", "mujoco", node.name):
        said |= dict(re.findall(r"^ {4}([a-z0-9_.]+): .*?\S +# (.+)$", file.read_text(), re.MULTILINE))
    described = {name: item.metadata["description"] for name, item in fields.items()}
    assert len(said) > 20
    assert {name: text for name, text in said.items() if not text.startswith(described[name])} == {}


def test_a_page_without_a_place_for_a_node_is_refused():
    with pytest.raises(ConfigError, match="for node 'planner'"):
        with_tables("no markers here")


def test_every_verb_is_described_on_the_page_of_interfaces():
    assert all(f"| `{verb.name}` |" in _INTERFACES for verb in VERBS)


def test_every_task_is_described_on_the_page_of_tasks():
    page = (_ROOT / "docs" / "tasks.md").read_text()
    assert {name for name in TASKS if f"| `{name}` |" not in page} == set()
    assert all(f"`{suite}`" in page for suite in SUITES)


def test_the_ranges_of_the_scenes_are_those_that_are_drawn():
    page = (_ROOT / "docs" / "tasks.md").read_text()
    assert with_table(page) == page, "run: python -m gr00t_sim.layout_ranges docs/tasks.md"
    with pytest.raises(ConfigError, match="has no '<!-- layout ranges -->'"):
        with_table("no markers here")


def test_every_launch_argument_is_described_on_the_page_of_interfaces():
    names = re.findall(r'DeclareLaunchArgument\(\s*"(\w+)"', (share_folder() / "launch" / "gr1.launch.py").read_text())
    assert len(names) == 13
    assert all(f"| `{name}` |" in _INTERFACES for name in names)


def test_every_topic_of_the_readme_is_on_the_page_of_interfaces():
    rows = [line for line in _README.splitlines() if re.match(r"\| `[a-z_/]+`.*(/|services)", line)]
    names = {name for row in rows for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)*)`", row.split("|")[1])}
    assert len(names) > 8
    assert {name for name in names if f"| `{name}` |" not in _INTERFACES} == set()


def test_no_page_has_rosbag2_play_what_a_robot_obeys_or_a_second_clock():
    """It sends whatever was recorded, also the gate's commands to a robot that is there."""
    found = [(page.name, line) for page in _PAGES for line in page.read_text().splitlines() if "ros2 bag play " in line]
    commands = [(name, line) for name, line in found if re.search("ros2 bag play [^`]*bag", line)]
    assert commands, "the page about recordings has one"
    for name, line in commands:
        assert "--exclude-topics" in line, (name, line)
        left_out = set(line.partition("--exclude-topics")[2].split())
        assert left_out >= {"/joint_trajectory", "/policy/joint_trajectory", "/teleop/joint_trajectory", "/clock"}, name


def test_every_file_named_in_the_pages_exists():
    missing = []
    for page in _PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            if not (page.parent / target).exists():
                missing.append(f"{page.name}: {target}")
    assert missing == []


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{path.name}" for path in sorted((_ROOT / "docs").glob("*.md")))]
)
def test_a_page_holds_no_open_places(page):
    text = (_ROOT / page).read_text()
    assert not re.search("TO BE MEASURED|TODO|FIXME", text)
