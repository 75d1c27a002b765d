# SPDX-License-Identifier: Apache-2.0
"""The log of a run: one JSON line at a time in ``log.jsonl``, and for TensorBoard where it is wanted."""

import json
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import CheckpointError


class RunLog:
    """Appends to what an earlier part of the same run wrote."""

    def __init__(self, out: Path, *, tensorboard: bool = False) -> None:
        self._path = out / "log.jsonl"
        self._writer = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(out / "tensorboard"))

    def add(self, line: dict[str, Any]) -> None:
        """``step`` and ``stage`` say when; the other numbers are what is drawn."""
        try:
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise CheckpointError(
                f"{self._path} cannot be written ({error}); the last resume point stays: make room and start again"
            ) from error
        if self._writer is not None:
            for name, value in line.items():
                if name not in ("step", "stage"):
                    self._writer.add_scalar(name, value, line["step"])
            self._writer.flush()
