# SPDX-License-Identifier: Apache-2.0
"""The text that describes a ROS message type and everything it contains. Reads .msg files; knows no ROS library."""

import re
from collections.abc import Sequence
from pathlib import Path

from gr00t_policy.core.errors import DatasetError

_SEPARATOR = "=" * 80
# A field line: type, optional bounds and array brackets, then a name. Constants and comments are not matched.
_FIELD = re.compile(r"^\s*(?P<type>[A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+[A-Za-z]\w*")
_PRIMITIVES = frozenset(
    f"{kind}{bits}"
    for kind, sizes in (("int", (8, 16, 32, 64)), ("uint", (8, 16, 32, 64)), ("float", (32, 64)))
    for bits in sizes
) | {"bool", "byte", "char", "string", "wstring"}


def message_definition(type_name: str, share_folders: Sequence[Path]) -> str:
    """The ``ros2msg`` text of ``pkg/msg/Type``: its own text, then each dependency under an 80-character rule.

    share_folders: the ``share`` folders of the ROS prefixes, searched in order.
    Raises DatasetError when a type's file is in none of them.
    """
    texts: dict[str, str] = {}
    waiting = [type_name]
    while waiting:
        name = waiting.pop(0)
        if name in texts:
            continue
        texts[name] = _text_of(name, share_folders)
        waiting += _dependencies(texts[name], package=name.split("/")[0])
    parts = [texts.pop(type_name)]
    parts += [f"{_SEPARATOR}\nMSG: {_short_name(name)}\n{text}" for name, text in texts.items()]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _text_of(type_name: str, share_folders: Sequence[Path]) -> str:
    package, kind, name = _split(type_name)
    for folder in share_folders:
        file = folder / package / kind / f"{name}.msg"
        if file.is_file():
            return file.read_text()
    places = ", ".join(str(folder) for folder in share_folders) or "no folder at all"
    raise DatasetError(
        f"message type '{type_name}' has no {package}/{kind}/{name}.msg under {places}; is it installed?"
    )


def _dependencies(text: str, package: str) -> list[str]:
    found = []
    for line in text.splitlines():
        match = _FIELD.match(line.split("#", 1)[0])
        if match is None or match["type"] in _PRIMITIVES:
            continue
        name = match["type"]
        if "/" not in name:
            name = "std_msgs/Header" if name == "Header" else f"{package}/{name}"
        found.append("/".join((name.split("/")[0], "msg", name.split("/")[-1])))
    return found


def _split(type_name: str) -> tuple[str, str, str]:
    parts = type_name.split("/")
    if len(parts) != 3 or not all(parts):
        raise DatasetError(f"'{type_name}' is not a message type; expected three parts as in 'std_msgs/msg/String'")
    return parts[0], parts[1], parts[2]


def _short_name(type_name: str) -> str:
    package, _, name = _split(type_name)
    return f"{package}/{name}"
