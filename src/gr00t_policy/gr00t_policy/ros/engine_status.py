# SPDX-License-Identifier: Apache-2.0
"""What runs the network and what its start check found, as one line of `/diagnostics`."""

from gr00t_policy.ros.diagnostics import Level, Status
from gr00t_policy.runtime.engine_report import EngineReport


def engine_status(report: EngineReport) -> Status:
    """WARN while the plain network stands in for an engine that was refused."""
    values: dict[str, object] = {"engine": report.engine, "precision": report.precision}
    for check in report.checks:
        values[f"{check.part}.max_error"] = check.max_error
        values[f"{check.part}.tolerance"] = check.tolerance
        if check.max_error_rad == check.max_error_rad:  # NaN where it has no meaning
            values[f"{check.part}.max_error_rad"] = check.max_error_rad
    if report.refused:
        return Status("engine", Level.WARN, report.refused, values)
    said = "; ".join(str(check) for check in report.checks) or "the plain network itself"
    return Status("engine", Level.OK, said, values)
