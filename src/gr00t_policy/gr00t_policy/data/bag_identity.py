# SPDX-License-Identifier: Apache-2.0
"""By what a recording is known again, wherever it lies and whatever it is called: by its messages.

What is noted in a closed bag, e.g. how an episode was judged, stands behind the messages and changes nothing of it.
"""

import hashlib
from pathlib import Path

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag_reading import file_summary, mcap_files

# Of a file's begin, and of the end of its messages with their times, which no two recordings share.
_END_BYTES = 64 * 1024


def bag_identity(bag: Path) -> str:
    """The same for the same recording: made from the chunks of its files and how many messages they hold from when to when.

    Raises DatasetError where it is no bag, damaged, cut off, or a file has no index.
    """
    digest = hashlib.sha256()
    for file in mcap_files(bag):
        summary = file_summary(file)
        said = summary.statistics
        if said is not None:
            digest.update(f"{said.message_count} {said.message_start_time} {said.message_end_time} ".encode())
        chunks = summary.chunk_indexes
        ends = [chunk.chunk_start_offset + chunk.chunk_length + chunk.message_index_length for chunk in chunks]
        digest.update(_ends_of(file, max(ends, default=0)))
    return digest.hexdigest()[:32]


def known_identities(bag: Path) -> tuple[str, ...]:
    """All by which a dataset may know the recording, the one to note first.

    Datasets used to note another, which a judgement after the conversion changed. Of a bag that cannot be read, that one
    alone is known.
    """
    try:
        return bag_identity(bag), _former_identity(bag)
    except DatasetError:
        return (_former_identity(bag),)


def _former_identity(bag: Path) -> str:
    """Made from sizes, begins and ends of the whole files."""
    digest = hashlib.sha256()
    for file in sorted(bag.glob("*.mcap"), key=lambda file: (len(file.name), file.name)):
        digest.update(_ends_of(file, file.stat().st_size))
    return digest.hexdigest()[:32]


def _ends_of(file: Path, size: int) -> bytes:
    """The number and both ends of the first ``size`` bytes."""
    with file.open("rb") as stream:
        begin = stream.read(min(_END_BYTES, size))
        stream.seek(max(size - _END_BYTES, 0))
        return str(size).encode() + begin + stream.read(min(_END_BYTES, size))
