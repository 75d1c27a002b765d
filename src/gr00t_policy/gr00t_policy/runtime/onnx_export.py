# SPDX-License-Identifier: Apache-2.0
"""A checkpoint's network for other runtimes: ONNX graphs, their description, a script for TensorRT; checked before it is
given out. Needs torch."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.model.checkpoint_folder import TOKENIZER
from gr00t_policy.runtime.engine import EngineBackend, EngineConfig
from gr00t_policy.runtime.exported_folder import REFERENCE, ExportedPart, write_description
from gr00t_policy.runtime.onnx_graphs import write_onnx
from gr00t_policy.runtime.start_check import PartCheck, reference_answers
from gr00t_policy.runtime.tensorrt_script import tensorrt_script
from gr00t_policy.runtime.torch_backend import TorchBackend

SCRIPT = "build_tensorrt.sh"


@dataclass(frozen=True)
class Export:
    """What was written, and how far each part is from the plain network when OpenVINO runs it."""

    parts: tuple[ExportedPart, ...]
    checks: tuple[PartCheck, ...]


def export(checkpoint: Checkpoint, out: Path) -> Export:
    """Write the folder ``out``, whole or not at all.

    Raises ConfigError when it exists, EngineRefusedError when the graphs do not answer as the plain network does.
    """
    if out.exists():
        raise ConfigError(f"{out} exists; give another folder or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".exporting-", dir=out.parent) as aside:
        folder = Path(aside) / "export"
        folder.mkdir()
        parts = write_onnx(checkpoint, folder)
        reference_answers(checkpoint, TorchBackend(checkpoint, None, "float32", "cpu")).save(folder / REFERENCE)
        write_description(folder, checkpoint, parts)
        checkpoint.prompt.tokenizer.save(str(folder / TOKENIZER))
        (folder / SCRIPT).write_text(tensorrt_script([part.file.removesuffix(".onnx") for part in parts]))
        (folder / SCRIPT).chmod(0o755)
        backend = EngineBackend(checkpoint, EngineConfig("fp32", "fp32", exported=folder))
        folder.rename(out)
    return Export(parts, backend.report.checks)
