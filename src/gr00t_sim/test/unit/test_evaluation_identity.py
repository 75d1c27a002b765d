# SPDX-License-Identifier: Apache-2.0
"""What results are said to be made with: all code that an episode runs."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from gr00t_sim.evaluation.code_digest import (
    _LIBRARIES,
    _LIBRARIES_OF_EXPERTS,
    DEMONSTRATING,
    MULTIPLYING,
    _version,
    code_digest,
    code_files,
)

SUITE = ("gr00t_policy", "gr00t_sim")


def imported(file: Path) -> Iterator[str]:
    """Modules of the suite that a file imports, in functions too; what is imported from one may be one itself."""
    for node in ast.walk(ast.parse(file.read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name for name in names if name.split(".")[0] in SUITE)


def source(module: str) -> Path | None:
    """The file of a module; None where the name is of something in a module, or of a folder."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    assert spec is not None and spec.submodule_search_locations
    file = Path(spec.submodule_search_locations[0]).joinpath(*rest).with_suffix(".py")
    return file if rest and file.is_file() else None


def followed(*modules: str) -> dict[Path, str]:
    """All files of the suite that these import, with their modules."""
    seen: dict[Path, str] = {}
    waiting = list(modules)
    while waiting:
        file = source(module := waiting.pop())
        if file is not None and file not in seen:
            seen[file] = module
            waiting += imported(file)
    return seen


def test_all_code_of_the_suite_that_an_episode_imports_is_in_the_code_digest():
    seen = followed("gr00t_sim.evaluation.episode")
    assert len(seen) > 50 and "gr00t_policy.runtime.policy" in seen.values(), "followed into the policy"
    assert sorted(set(seen) - set(code_files().values())) == []


@pytest.mark.parametrize(
    ("beside", "modules"),
    [
        (DEMONSTRATING, ("demonstration", "production.outcome")),
        (MULTIPLYING, ("multiplication.multiplier", "multiplication.sources", "production.outcome")),
    ],
)
def test_all_code_that_makes_a_demonstration_is_in_the_digest_of_what_it_was_made_with(beside, modules):
    seen = followed(*(f"gr00t_sim.{module}" for module in modules))
    assert any("experts" in str(file) or "multiplication" in str(file) for file in seen)
    assert sorted(set(seen) - set(code_files(beside).values())) == []
    assert len({code_digest(), code_digest(DEMONSTRATING), code_digest(MULTIPLYING)}) == 3


def test_every_library_whose_version_counts_is_called_as_it_is_installed():
    """By another name it would count as not installed, whichever version is there."""
    assert [name for name in (*_LIBRARIES, *_LIBRARIES_OF_EXPERTS) if _version(name) == "not installed"] == []


def test_the_code_digest_is_of_the_bytes_of_these_files():
    assert len(code_digest()) == 64 and code_digest() == code_digest()
    names = list(code_files())
    assert len(set(names)) == len(names) and all(name.split("/")[0] in SUITE for name in names)
    assert {"gr00t_sim/vessels.py", "gr00t_sim/tasks/pour.py", "gr00t_policy/embodiments/gr1.yaml"} <= set(names)
