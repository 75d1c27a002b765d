# SPDX-License-Identifier: Apache-2.0
"""Damaged copies of a JSON text: bytes changed, cut or doubled, and values put where no one expects them."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

_BYTES = np.frombuffer(b'"{}[],:.0-19eExn \\\x00\xff\n', np.uint8)
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 2**31, 10**40, 1.5, float("nan"), float("inf"), -float("inf"), "", "x", "gr1", "float64",
    "\ud800", "\x00", "../..", "{episode_index:0999999999d}", "{0}", "{", "a" * 5000, [], {}, [[]], [1, "2"], [True], [None],
    [10**400], {"start": 0, "end": 10**12}, {"min": [0]}, {"original_key": 3}, {"": {"": {}}}, list(range(50)),
)  # fmt: skip


def mutated(text: str, count: int, seed: int) -> Iterator[bytes]:
    """``count`` damaged copies: every third has changed bytes, the others are valid JSON with changed values."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        if number % 3 == 0:
            yield _other_bytes(text.encode(), rng)
        elif number % 50 == 1:
            depth = int(rng.integers(10, 200_000))
            yield b"[" * depth + b"]" * depth
        else:
            value = json.loads(text)
            for _ in range(rng.integers(1, 4)):
                value = _other_value(value, rng)
            yield json.dumps(value).encode("utf-8", "surrogatepass")


def _other_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for position in rng.integers(0, len(content), rng.integers(1, 6)):
        changed[position] = rng.choice(_BYTES)
    start, stop = sorted(rng.integers(0, len(changed), 2))
    kind = rng.integers(4)
    if kind == 0:
        del changed[start:stop]
    elif kind == 1:
        changed[start:start] = changed[start:stop]
    elif kind == 2:
        del changed[stop:]
    return bytes(changed)


def _other_value(value: Any, rng: np.random.Generator) -> Any:
    """Replace, remove, rename or add one thing somewhere inside."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return copy.deepcopy(_VALUES[rng.integers(len(_VALUES))])
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[rng.integers(len(keys))]
    action = rng.random()
    if action < 0.15:
        del value[key]
    elif action < 0.25 and isinstance(value, dict):
        value[str(_VALUES[rng.integers(len(_VALUES))])] = value.pop(key)
    else:
        value[key] = _other_value(value[key], rng)
    return value
