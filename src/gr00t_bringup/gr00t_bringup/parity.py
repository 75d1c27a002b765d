# SPDX-License-Identifier: Apache-2.0
"""``gr00t parity FILE...``: does our network give the outputs that another implementation wrote down?"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from gr00t_bringup.json_file import write_json
from gr00t_policy.core.errors import ConfigError, Gr00tError

if TYPE_CHECKING:
    from gr00t_policy.model.parity import OutputError


@dataclass(frozen=True)
class ParityConfig:
    """Exit code 0 when every output of every file is within the tolerance, 1 when one is not, 2 for a file that cannot
    be used."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """reference outputs: safetensors with weights.*, in.*, out.* and the configuration in the metadata"""
    tolerance: float = 1e-4
    """largest error, both absolute and relative to the output's largest magnitude; float32"""
    json: Path | None = None
    """write the errors here"""

    def __post_init__(self) -> None:
        if not self.files:
            raise ConfigError("name at least one file of reference outputs")
        if not self.tolerance > 0:
            raise ConfigError(f"tolerance must be positive, got {self.tolerance}")


def run(config: ParityConfig) -> int:
    """Compare file by file and print; a file that cannot be used does not keep the others from being compared."""
    results = [_compared(file, config.tolerance) for file in config.files]
    if config.json is not None:
        write_json(config.json, {"ok": all(r["ok"] for r in results), "tolerance": config.tolerance, "files": results})
    if any("error" in result for result in results):
        return 2
    return 0 if all(result["ok"] for result in results) else 1


def _compared(file: Path, tolerance: float) -> dict[str, Any]:
    from gr00t_policy.model.golden import read_golden
    from gr00t_policy.model.parity import build_network, compare

    try:
        golden = read_golden(file)
        network = build_network(golden)
        errors = compare(golden, network)
    except Gr00tError as error:
        print(f"gr00t parity: {error}", file=sys.stderr)
        return {"file": str(file), "ok": False, "error": str(error)}
    print(f"{file}: {network.parameters:,} parameters, float32")
    for name in golden.declared.unused:
        print(f"  {name} is not used here")
    _print(errors, tolerance)
    outputs = [asdict(error) | {"ok": error.within(tolerance)} for error in errors]
    return {
        "file": str(file),
        "ok": all(output["ok"] for output in outputs),
        "parameters": network.parameters,
        "unused": list(golden.declared.unused),
        "outputs": outputs,
    }


def _print(errors: "list[OutputError]", tolerance: float) -> None:
    print(f"  {'output':<30} {'shape':<14} {'max absolute':>12} {'max relative':>13}  both < {tolerance:g}")
    for error in errors:
        shape, word = " x ".join(str(size) for size in error.shape), "ok" if error.within(tolerance) else "NO"
        print(f"  {error.output:<30} {shape:<14} {error.max_absolute:12.1e} {error.max_relative:13.1e}  {word}")
    if wrong := [error.output for error in errors if not error.within(tolerance)]:
        print(f"  NOT REPRODUCED: {', '.join(wrong)}; weights, inputs or configuration are not those of these outputs")
    else:
        print(f"  all {len(errors)} outputs are reproduced")
