# SPDX-License-Identifier: Apache-2.0
"""The safetensors files of a checkpoint folder by their headers alone: names, types, shapes, places. No torch here.

One ``model.safetensors``, or shards listed by ``model.safetensors.index.json``. Everything that can be known without
reading a weight is checked here: a torn file is found before a node begins to load it. Pickle files are never opened.
Format: https://github.com/huggingface/safetensors#format (8 bytes length, JSON header, data without gaps).
"""

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.model.json_file import parse_json, read_json_object

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}  # what weights may be stored as -> bytes of one number
_LARGEST_HEADER = 100_000_000  # bytes, the format's own limit
_SAMPLES, _SAMPLE_BYTES = 1024, 512  # of each file's data, evenly spread, that the digest looks at
_REMEDY = "copy or download it again"


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file. dtype: as the file says it, one of ``FLOATS``."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * FLOATS[self.dtype]


@dataclass(frozen=True)
class WeightFiles:
    """tensors: file -> its tensors by name. digest: sha256 hex of headers, sizes and a sample of the values.

    The sample tells the checkpoints of one training run apart; reading all of gigabytes at each start would take too long.
    """

    tensors: dict[Path, dict[str, StoredTensor]]
    digest: str

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape, over all files."""
        return {name: item.shape for stored in self.tensors.values() for name, item in stored.items()}

    @property
    def where(self) -> str:
        """The files' name for messages."""
        first = next(iter(self.tensors))
        return str(first) if len(self.tensors) == 1 else f"{first.parent} ({len(self.tensors)} files)"


def open_weight_files(folder: Path) -> WeightFiles:
    """All weight files of a folder, as its index says or the single one. Raises CheckpointError."""
    if not folder.is_dir():
        raise CheckpointError(f"no checkpoint folder {folder}")
    if (folder / INDEX).is_file():
        return _read_files(_shards(folder))
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{folder} has neither {WEIGHTS} nor {INDEX}{_pickle_advice(folder)}")
    return open_weight_file(folder / WEIGHTS)


def open_weight_file(path: Path) -> WeightFiles:
    """A single file. Raises CheckpointError."""
    return _read_files({path: None})


def read_header(path: Path) -> tuple[dict[str, StoredTensor], bytes]:
    """(tensors by name, header as it is on disk) of one safetensors file, checked against its size. Raises CheckpointError."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, _LARGEST_HEADER):
                raise _unreadable(path, "it does not begin with a header that fits into it")
            header = file.read(length)
    except OSError as error:
        raise _unreadable(path, str(error)) from error
    try:
        entries = parse_json(header)
    except ValueError as error:
        raise _unreadable(path, f"its header is not JSON ({error})") from error
    if not isinstance(entries, dict):
        raise _unreadable(path, "its header is not a JSON object")
    return _tensors(path, entries, size - 8 - length), header


def _tensors(path: Path, entries: Mapping[str, Any], data_bytes: int) -> dict[str, StoredTensor]:
    tensors, spans = {}, []
    for name, entry in entries.items():
        if name == "__metadata__":
            continue
        tensors[name], span = _tensor(path, name, entry)
        spans.append(span)
    end = 0
    for begin, stop in sorted(spans):
        if begin != end:
            raise _unreadable(path, f"its data have a gap or overlap at byte {end}")
        end = stop
    if end != data_bytes:
        torn = "it is torn" if end > data_bytes else "it is too long"
        raise _unreadable(path, f"{torn}: {data_bytes} bytes of data, its header says {end}")
    return tensors


def _tensor(path: Path, name: str, entry: Any) -> tuple[StoredTensor, tuple[int, int]]:
    try:
        dtype, shape, (begin, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, f"tensor '{name}' has no dtype, shape and data_offsets in its header") from error
    if not isinstance(dtype, str) or not all(type(number) is int and number >= 0 for number in (*shape, begin, stop)):
        raise _unreadable(path, f"tensor '{name}' has dtype {dtype!r}, shape {shape}, offsets {begin!r} to {stop!r}")
    if dtype not in FLOATS:
        raise CheckpointError(
            f"{path}: tensor '{name}' is stored as {dtype}; weights must be one of {', '.join(FLOATS)} (quantised files "
            "cannot be used)"
        )
    tensor = StoredTensor(dtype, shape)
    if stop - begin != tensor.size:
        raise _unreadable(path, f"tensor '{name}' of shape {shape} in {dtype} does not take {stop - begin} bytes")
    return tensor, (begin, stop)


def _read_files(wanted: Mapping[Path, set[str] | None]) -> WeightFiles:
    """wanted: file -> the names that it must hold, None = any."""
    files, digest = {}, hashlib.sha256()
    for path in sorted(wanted):
        files[path], header = read_header(path)
        line = f"{path.name} {path.stat().st_size} {hashlib.sha256(header).hexdigest()}\n"
        digest.update(line.encode("utf-8", "surrogatepass"))
        digest.update(_sample(path, 8 + len(header)))
        names = wanted[path]
        if names is not None and (different := sorted(names ^ set(files[path]))):
            raise CheckpointError(
                f"{path} and {INDEX} disagree about {len(different)} tensor(s): {', '.join(different)}; {_REMEDY}"
            )
    return WeightFiles(files, digest.hexdigest())


def _sample(path: Path, begin: int) -> bytes:
    """Short runs of bytes from all over a file, from ``begin`` on."""
    length, runs = path.stat().st_size - begin, []
    with path.open("rb") as file:
        for number in range(_SAMPLES):
            file.seek(begin + number * length // _SAMPLES)
            runs.append(file.read(_SAMPLE_BYTES))
    return b"".join(runs)


def _shards(folder: Path) -> dict[Path, set[str] | None]:
    weight_map = read_json_object(folder / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{folder / INDEX} has no 'weight_map' from tensor names to files; {_REMEDY}")
    shards: dict[str, set[str]] = {}
    for name, file in weight_map.items():
        if not isinstance(file, str) or file in ("", ".", "..") or "\0" in file or Path(file).name != file:
            raise CheckpointError(
                f"{folder / INDEX} places tensor '{name}' in {file!r}; expected a file of this folder"
            )
        if not file.endswith(".safetensors"):
            raise CheckpointError(f"{folder / INDEX} places tensor '{name}' in {file!r}; only .safetensors are read")
        shards.setdefault(file, set()).add(name)
    if missing := sorted(
        file for file in shards if not os.path.isfile(folder / file)
    ):  # unlike Path.is_file it never raises
        raise CheckpointError(f"{folder} lacks {', '.join(missing)}, which {INDEX} names; {_REMEDY}")
    return {folder / file: names for file, names in shards.items()}


def _pickle_advice(folder: Path) -> str:
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if not pickles:
        return f"; {_REMEDY}"
    return (
        f", but {', '.join(pickles[:3])}: pickle files can run any program and are never opened; save the weights as "
        "safetensors where you trust them (model.save_pretrained(folder, safe_serialization=True))"
    )


def _unreadable(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"{path} cannot be read as safetensors: {why}; {_REMEDY}")
