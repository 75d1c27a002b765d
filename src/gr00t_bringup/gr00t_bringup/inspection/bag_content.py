# SPDX-License-Identifier: Apache-2.0
"""The few messages of a bag worth decoding: what was said, the names of the joints, the size of the pictures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gr00t_bringup.inspection.bag_index import read_messages
from gr00t_bringup.interface import IMAGE, JOINT_STATE, STRING
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagTopic, MessageDecoder
from gr00t_policy.data.bag_damage import BROKEN_MESSAGE

_MOST_SENTENCES = 10_000


@dataclass(frozen=True)
class BagContent:
    """namespace: of the suite's topics, '' = none. sentences: (time of receipt [ns], text). image_sizes: topic -> (W, H)."""

    namespace: str
    sentences: tuple[tuple[int, str], ...]
    joint_names: tuple[str, ...]
    image_sizes: dict[str, tuple[int, int]]

    def absolute(self, name: str) -> str:
        """A topic's name in the bag from the suite's own name of it."""
        return name if name.startswith("/") else f"{self.namespace}/{name}"


def bag_content(files: list[Path], topics: Mapping[str, BagTopic]) -> BagContent:
    """Decode them. Raises DatasetError when a message does not fit its own definition."""
    namespace = _namespace(topics)
    sentences = [
        (stamp_ns, str(text.data))
        for stamp_ns, text in _decoded(files, topics, f"{namespace}/language_command", STRING, _MOST_SENTENCES)
    ]
    states = [state for _, state in _decoded(files, topics, f"{namespace}/joint_states", JOINT_STATE, 1)]
    sizes = {}
    for name, topic in topics.items():
        if topic.type_name == IMAGE:
            for _, image in _decoded(files, topics, name, IMAGE, 1):
                sizes[name] = int(image.width), int(image.height)
    names = tuple(str(name) for state in states for name in state.name)
    return BagContent(namespace, tuple(sentences), names, sizes)


def _namespace(topics: Mapping[str, BagTopic]) -> str:
    """Where ``joint_states`` lies; without it, where the sentences do."""
    for name in ("joint_states", "language_command"):
        found = sorted((topic for topic in topics if topic.endswith(f"/{name}")), key=len)
        if found:
            return found[0].removesuffix(f"/{name}")
    return ""


def _decoded(
    files: list[Path], topics: Mapping[str, BagTopic], name: str, type_name: str, most: int
) -> Iterator[tuple[int, Any]]:
    """(time of receipt [ns], message) of the first ``most``; nothing when the topic is absent or of another type."""
    if name not in topics or topics[name].type_name != type_name:
        return
    try:
        decoder = MessageDecoder({name: topics[name]})
        for message in read_messages(files, name, most):
            yield message.log_ns, decoder.decode(message)
    except BROKEN_MESSAGE as error:
        raise DatasetError(f"a message of {name} does not fit the definition in the bag: {error!r}") from error
