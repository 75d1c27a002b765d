# SPDX-License-Identifier: Apache-2.0
"""What the workspace tests look at: the folders, the Python files, what each imports."""

import ast
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
MESSAGES = "gr00t_msgs"
# Package -> the packages of this workspace it may import.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "gr00t_policy": frozenset({MESSAGES}),
    "gr00t_planner": frozenset({"gr00t_policy", MESSAGES}),
    "gr00t_teleop": frozenset({"gr00t_policy", MESSAGES}),
    "gr00t_safety": frozenset({"gr00t_policy", MESSAGES}),
    "gr00t_sim": frozenset({"gr00t_policy", MESSAGES}),
    "gr00t_bringup": frozenset(
        {"gr00t_planner", "gr00t_teleop", "gr00t_safety", "gr00t_sim", "gr00t_policy", MESSAGES}
    ),
}
PACKAGES = tuple(MAY_IMPORT)


@dataclass(frozen=True)
class Import:
    """One imported module, by its full dotted name, and the line that imports it."""

    module: str
    line: int

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def library_files(package: str) -> list[Path]:
    """The Python files of a package itself: not its tests, not its set-up, not its launch files."""
    return sorted((SRC / package / package).rglob("*.py"))


def launch_files() -> list[Path]:
    return sorted(SRC.glob("*/launch/**/*.py"))


def all_python_files() -> list[Path]:
    """Every Python file that this repository owns."""
    return sorted({*SRC.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "setup").rglob("*.py")})


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imports(path: Path) -> Iterator[Import]:
    """All imports of a file, also those inside functions. Relative imports are an error here: we use full names."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module is None:
                raise ValueError(f"{path}:{node.lineno}: relative import; write the full name")
            yield Import(node.module, node.lineno)


def inside(path: Path, package: str) -> tuple[str, ...]:
    """Where a file lies in its package: ('ros', 'planner_node.py')."""
    return path.relative_to(SRC / package / package).parts


def manifest(package: str) -> ElementTree.Element:
    """The root element of a package's package.xml."""
    return ElementTree.parse(SRC / package / "package.xml").getroot()


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))
