# SPDX-License-Identifier: Apache-2.0
"""Compiled networks on disk: graphs of one part in one precision, and beside them what the plain network answers to the
inputs of the start check. A folder's name changes with the checkpoint, the part, the precision, the Euler steps and the
versions, so nothing in it is ever out of date.
"""

import importlib.metadata
import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import openvino as ov

from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.runtime.start_check import ReferenceAnswers, reference_answers

GRAPHS = {"encoder": ("encoder",), "head": ("context", "head"), "staggered": ("staggered",)}
_REVISION = 3  # of the graphs and of the start check's inputs; a new one makes old folders unused
_REFERENCE = "reference.npz"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuiltPart:
    """graphs: by name. folder: where they are kept, None = nowhere."""

    graphs: dict[str, ov.Model]
    reference: ReferenceAnswers
    folder: Path | None


def built_part(checkpoint: Checkpoint, part: str, precision: str, cache: Path | None) -> BuiltPart:
    """One part ('encoder', 'head' or 'staggered') in 'fp32' or 'int8': from the cache, or built (with torch) and put there."""
    if cache is None:
        return BuiltPart(*_build(checkpoint, part, precision), None)
    folder = cache / _folder_name(checkpoint, part, precision)
    if folder.is_dir():
        try:
            graphs = {name: ov.Core().read_model(folder / f"{name}.xml") for name in GRAPHS[part]}
            return BuiltPart(graphs, ReferenceAnswers.load(folder / _REFERENCE), folder)
        except (RuntimeError, CheckpointError) as error:
            _log.warning("the graphs in %s cannot be read and are built again: %s", folder, error)
            shutil.rmtree(folder, ignore_errors=True)
    graphs, reference = _build(checkpoint, part, precision)
    return BuiltPart(graphs, reference, folder if _keep(graphs, reference, folder) else None)


def _folder_name(checkpoint: Checkpoint, part: str, precision: str) -> str:
    versions = "-".join(importlib.metadata.version(name) for name in ("openvino", "nncf"))
    steps = "" if part == "encoder" else f"-{checkpoint.config.head.steps}steps"
    robot = checkpoint.embodiment.name
    return f"{checkpoint.hash[:16]}-{versions}-r{_REVISION}-{robot}-{part}-{precision}{steps}"


def _build(checkpoint: Checkpoint, part: str, precision: str) -> tuple[dict[str, ov.Model], ReferenceAnswers]:
    from gr00t_policy.runtime.engine_graphs import build_encoder, build_head, build_staggered
    from gr00t_policy.runtime.torch_backend import TorchBackend

    _log.info("building the %s of checkpoint %s in %s", part, checkpoint.hash[:12], precision)
    build = {"encoder": build_encoder, "head": build_head, "staggered": build_staggered}[part]
    reference = reference_answers(checkpoint, TorchBackend(checkpoint, None, "float32", "cpu"))
    return build(checkpoint, precision), reference


def _keep(graphs: dict[str, ov.Model], reference: ReferenceAnswers, folder: Path) -> bool:
    """Write everything beside its place and move it there whole; whoever comes first wins. False: it could not be kept."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=folder.parent) as aside:
            whole = Path(aside) / "graphs"
            for name, graph in graphs.items():
                ov.save_model(graph, whole / f"{name}.xml", compress_to_fp16=False)
            reference.save(whole / _REFERENCE)
            if not folder.is_dir():
                whole.rename(folder)
    except OSError as error:
        _log.warning("the built graphs are not kept in %s: %s", folder, error)
        return False
    return True
