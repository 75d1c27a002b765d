# SPDX-License-Identifier: Apache-2.0
"""What runs the network and what its start check found, for logs and diagnostics."""

from dataclasses import dataclass

from gr00t_policy.runtime.start_check import PartCheck


@dataclass(frozen=True)
class EngineReport:
    """engine: its name. precision: number format. checks: of the start check, none for the plain network itself. refused: why
    the engine that was asked for is not the one in use; empty when it is."""

    engine: str
    precision: str
    checks: tuple[PartCheck, ...] = ()
    refused: str = ""

    def __str__(self) -> str:
        return "; ".join([f"{self.engine} in {self.precision}", *map(str, self.checks), *filter(None, [self.refused])])
