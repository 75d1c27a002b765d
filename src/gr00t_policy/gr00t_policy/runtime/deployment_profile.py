# SPDX-License-Identifier: Apache-2.0
"""Simulation or hardware: on a robot that can hurt someone, an age limit may be tightened by a parameter but never loosened."""

from typing import Any

from gr00t_policy.core.errors import ConfigError

SIM, HARDWARE = "sim", "hardware"
PROFILES = (SIM, HARDWARE)
PROFILE_HELP = "'sim' or 'hardware'; hardware forbids age limits above the defaults"


def check_profile(settings: Any, ages: tuple[str, ...]) -> None:
    """Raises ConfigError when the ``profile`` of a settings dataclass is unknown, or is 'hardware' and one of its ``ages`` [s] is
    above the default of its field, or not a number.
    """
    if settings.profile not in PROFILES:
        raise ConfigError(f"profile '{settings.profile}' is unknown; known: {', '.join(PROFILES)}")
    if settings.profile != HARDWARE:
        return
    for name in ages:
        given, loosest = getattr(settings, name), type(settings).__dataclass_fields__[name].default
        if not given <= loosest:
            raise ConfigError(f"{name} = {given} s is looser than {loosest} s, which the hardware profile forbids")
