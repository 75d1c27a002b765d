# SPDX-License-Identifier: Apache-2.0
"""``gr00t export``: a checkpoint's network as ONNX graphs for other runtimes (TensorRT on a Jetson), checked against torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gr00t_bringup.nodes import shipped_checkpoint
from gr00t_policy.model.checkpoint import load_checkpoint


@dataclass(frozen=True)
class ExportConfig:
    """What to write. The folder is written whole, or, when the graphs do not answer as the network does, not at all."""

    out: Path
    """folder to write; must not exist"""
    checkpoint: Path | None = None
    """checkpoint folder; default: the one shipped in models/"""
    format: Literal["onnx"] = "onnx"
    """onnx: encoder.onnx, context.onnx, head.onnx, network.json, build_tensorrt.sh"""
    embodiment: str = ""
    """robot of the checkpoint; default: the one it was saved for, of a released one gr1"""
    tokenizer: Path | None = None
    """folder of the tokenizer, for a released checkpoint that has none"""
    steps: int = 0
    """Euler steps of the head: 1, 2, 4, 8 or 16; 0: the checkpoint's"""


def run(config: ExportConfig) -> int:
    """Export, check, print. Raises Gr00tError."""
    from gr00t_policy.runtime.onnx_export import SCRIPT, export

    folder = config.checkpoint or shipped_checkpoint()
    checkpoint = load_checkpoint(folder, config.embodiment or None, tokenizer=config.tokenizer)
    written = export(checkpoint.with_steps(config.steps), config.out)
    for part in written.parts:
        size = (config.out / part.file).stat().st_size / 1e6
        print(f"{config.out / part.file}  {size:.1f} MB")
        for kind, values in (("in ", part.inputs), ("out", part.outputs)):
            for value in values:
                print(f"  {kind} {value.name:<16} {value.dtype:<8} {'x'.join(map(str, value.shape))}")
    for check in written.checks:
        print(f"read back by OpenVINO: the {check}")
    print(f"on the machine that is to run it: {config.out / SCRIPT}")
    return 0
