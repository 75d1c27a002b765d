# SPDX-License-Identifier: Apache-2.0
"""Files and functions fit in the eye; names say what is inside; every file has its licence line and says what it is for."""

import ast
from pathlib import Path

from workspace import all_python_files, parsed, short

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
# A network's forward and a launch description may be longer: they read like the figure they come from.
MAX_LONG_FUNCTION_LINES = 80
LONG_FUNCTIONS = {"forward", "generate_launch_description"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
LICENCE = "# SPDX-License-Identifier: Apache-2.0"


def test_files_have_at_most_400_lines() -> None:
    counts = {short(path): len(path.read_text().splitlines()) for path in all_python_files()}
    assert {name: lines for name, lines in counts.items() if lines > MAX_FILE_LINES} == {}


def test_functions_have_at_most_60_lines() -> None:
    long = {
        f"{short(path)}:{node.lineno} {node.name}": lines
        for path in all_python_files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > longest(node.name)
    }
    assert long == {}


def test_files_are_named_after_what_is_in_them() -> None:
    assert [short(path) for path in all_python_files() if path.stem in VAGUE_NAMES] == []


def test_files_begin_with_their_licence() -> None:
    assert [short(path) for path in all_python_files() if not licensed(path)] == []


def test_files_with_code_say_what_they_are_for() -> None:
    silent = [
        short(path)
        for path in all_python_files()
        if path.name != "__init__.py" and parsed(path).body and not ast.get_docstring(parsed(path))
    ]
    assert silent == []


def longest(function: str) -> int:
    return MAX_LONG_FUNCTION_LINES if function in LONG_FUNCTIONS else MAX_FUNCTION_LINES


def licensed(path: Path) -> bool:
    lines = path.read_text().splitlines()
    return not lines or LICENCE in lines[:2]
