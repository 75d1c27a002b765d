# SPDX-License-Identifier: Apache-2.0
"""What is named by a string exists: links, commands, executables, dependencies in package.xml."""

import ast
import re
from pathlib import Path

import pytest

from workspace import MESSAGES, PACKAGES, ROOT, SRC, imports, library_files, manifest, parsed, short

DOCUMENTS = sorted(
    {*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *SRC.glob("*/**/*.md"), *(ROOT / "docker").rglob("*.md")}
)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|<img[^>]*src=\"([^\"]+)\"")
_VERB = re.compile(r"(?:\./|`|\$ )gr00t ((?:[a-z][\w-]*)(?: [a-z][a-z-]*)?)")
_MAKE = re.compile(r"\bmake ([a-z][a-z-]*)\b(?=[` \n])")
documents = pytest.mark.parametrize("path", DOCUMENTS, ids=short)


def test_there_are_documents_to_look_at() -> None:
    assert {short(path) for path in DOCUMENTS} >= {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"}


@documents
def test_relative_links_lead_somewhere(path: Path) -> None:
    targets = ["".join(found).partition("#")[0] for found in _LINK.findall(path.read_text())]
    broken = [
        target
        for target in targets
        if target and not re.match(r"[a-z]+:", target) and not (path.parent / target).exists()
    ]
    assert broken == []


@documents
def test_verbs_of_the_command_line_exist(path: Path) -> None:
    known = verbs()
    named = [found for found in _VERB.findall(path.read_text()) if found.split()[0] != "verb"]
    unknown = [words for words in named if words not in known and words.split()[0] not in known]
    assert unknown == []


@documents
def test_targets_of_make_exist(path: Path) -> None:
    """In code only: 'make sure' in a sentence is no target."""
    rules = re.findall(r"^([a-z][a-z -]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    known = {target for rule in rules for target in rule.split()}
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", path.read_text(), re.DOTALL))
    assert set(_MAKE.findall(code + "\n")) - known == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_executables_name_functions_that_exist(package: str) -> None:
    setup = (SRC / package / "setup.py").read_text()
    for module, function in re.findall(r'"[\w-]+ = ([\w.]+):(\w+)"', setup):
        path = (SRC / package).joinpath(*module.split(".")).with_suffix(".py")
        assert path.is_file(), f"{module} does not exist"
        functions = {node.name for node in parsed(path).body if isinstance(node, ast.FunctionDef)}
        assert function in functions, f"{module} has no function {function}"


@pytest.mark.parametrize("package", PACKAGES)
def test_package_xml_names_exactly_the_ros_packages_that_are_used(package: str) -> None:
    """Used is what is imported, and what is named in a string: the packages of the nodes that bringup
    starts, and of types of messages."""
    files = [*library_files(package), *(SRC / package).glob("launch/**/*.py")]
    imported = {found.top for path in files for found in imports(path) if is_ros_package(found.top)} - {package}
    named = {word for path in files for word in re.findall(r'"([a-z][a-z0-9_]*)(?:/msg/\w+)?"', path.read_text())}
    declared = {element.text or "" for element in manifest(package).iter() if element.tag in ("depend", "exec_depend")}
    declared = {name for name in declared if not name.startswith("python3-")}
    assert imported - declared == set()
    assert declared - imported - named == set()


@pytest.mark.parametrize("package", [*PACKAGES, MESSAGES])
def test_package_xml_has_format_3_sorted_dependencies_and_the_version_of_the_workspace(package: str) -> None:
    root = manifest(package)
    assert root.get("format") == "3"
    names = [element.text or "" for element in root.findall("exec_depend")]
    assert names == sorted(names)
    assert root.findtext("version") == manifest(MESSAGES).findtext("version")


def is_ros_package(module: str) -> bool:
    known = {*PACKAGES, "ament_index_python", "launch", "launch_ros", "rclpy"}
    return module in known or module.endswith(("_msgs", "_srvs", "_interfaces"))


def verbs() -> set[str]:
    """The verbs of the command line, also the first words of those with two."""
    from gr00t_bringup.cli import VERBS

    names = {" ".join(verb.words) for verb in VERBS}
    return names | {name.split()[0] for name in names} | {"help"}
