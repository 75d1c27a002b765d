# SPDX-License-Identifier: Apache-2.0
"""Tests do not disturb each other: own DDS domains, module names that mean one thing, no mocks."""

import re
from collections import defaultdict
from pathlib import Path

from workspace import ROOT, SRC, imports, short

LAYERS = ("unit", "node", "system")
TEST_FILES = sorted([*SRC.glob("*/test/**/*.py"), *(ROOT / "tests").rglob("*.py")])
_DOMAIN = re.compile(r"ROS_DOMAIN_ID\"\]\s*=\s*\"(\d+)\"")


def folder_of(path: Path) -> str:
    return short(path.parent)


def test_every_test_lies_in_a_layer() -> None:
    assert [
        short(path) for path in TEST_FILES if path.name.startswith("test_") and path.parent.name not in LAYERS
    ] == []


def test_folders_that_use_dds_have_a_domain_of_their_own() -> None:
    """Also on the same machine at the same time: cross-talk is the commonest cause of tests that fail now and then."""
    users: dict[str, set[str]] = defaultdict(set)
    for path in TEST_FILES:
        for domain in _DOMAIN.findall(path.read_text()):
            users[domain].add(folder_of(path))
    assert {domain: folders for domain, folders in users.items() if len(folders) > 1} == {}
    assert all(100 <= int(domain) <= 200 for domain in users)
    with_dds = {folder_of(path) for path in TEST_FILES if path.parent.name in ("node", "system")}
    assert with_dds == set().union(*users.values())


def test_modules_that_tests_share_have_names_of_their_own() -> None:
    homes: dict[str, set[str]] = defaultdict(set)
    for path in TEST_FILES:
        if not path.name.startswith(("test_", "conftest")):
            homes[path.stem].add(folder_of(path))
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_fakes_are_real_classes() -> None:
    mocks = [
        short(path) for path in TEST_FILES for found in imports(path) if found.module.startswith(("unittest", "mock"))
    ]
    assert mocks == []
