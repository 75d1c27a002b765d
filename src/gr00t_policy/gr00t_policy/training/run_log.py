# SPDX-License-Identifier: Apache-2.0
"""The log of a run: one JSON line at a time in ``log.jsonl``, and for TensorBoard where it is wanted."""

import json
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.data.durable import append_json_line, drop_torn_line, written_aside
from gr00t_policy.data.json_file import json_lines


class RunLog:
    """Goes on from what an earlier part of the same run wrote up to ``step``, its resume point; what it wrote beyond is
    dropped, for these steps are taken again.

    Raises CheckpointError when the log cannot be read or written.
    """

    def __init__(self, out: Path, step: int, *, tensorboard: bool = False) -> None:
        self._path = out / "log.jsonl"
        self._writer = None
        self._drop_beyond(step)
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)

    def add(self, line: dict[str, Any]) -> None:
        """``step`` and ``stage`` say when; the other numbers are what is drawn."""
        try:
            append_json_line(self._path, line)
        except OSError as error:
            raise CheckpointError(
                f"{self._path} cannot be written ({error}); the last resume point stays: make room and start again"
            ) from error
        if self._writer is not None:
            for name, value in line.items():
                if name not in ("step", "stage"):
                    self._writer.add_scalar(name, value, line["step"])
            self._writer.flush()

    def _drop_beyond(self, step: int) -> None:
        try:
            drop_torn_line(self._path)
            lines = json_lines(self._path.read_text()) if self._path.is_file() else []
            kept = [line for line in lines if json.loads(line)["step"] <= step]
            if len(kept) < len(lines):
                with written_aside(self._path) as aside:
                    aside.write_text("".join(f"{line}\n" for line in kept))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{self._path} cannot be gone on with ({error}); remove it, the run goes on"
            ) from error
