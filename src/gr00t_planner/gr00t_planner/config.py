# SPDX-License-Identifier: Apache-2.0
"""What may be set about the node ``planner``."""

from dataclasses import dataclass

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.core.wire import WireType
from gr00t_policy.runtime.config import (
    COMPILED_HELP,
    DEVICE_HELP,
    DEVICES,
    DTYPE_HELP,
    DTYPES,
    ENGINE_HELP,
    ENGINES,
    EXPORTED_HELP,
    FALLBACK_HELP,
    PRECISION_HELP,
    PRECISIONS,
    THREADS_HELP,
    TOKENIZER_HELP,
    check_choice,
)
from gr00t_policy.runtime.deployment_profile import PROFILE_HELP, SIM, check_profile
from gr00t_policy.runtime.loop_settings import LoopSettings, rate_threshold, time_threshold
from gr00t_policy.runtime.settings import setting

TOKEN_TYPES = tuple(kind.name.lower() for kind in WireType)


@dataclass(frozen=True)
class PlannerConfig(LoopSettings):
    """Settings of the planner. An image is stale after three periods of the loop, as are tokens for the controller."""

    autostart: bool = setting(False, "configure and activate by itself after start")
    checkpoint: str = setting("", "folder of the policy's checkpoint")
    tokenizer: str = setting("", TOKENIZER_HELP)
    embodiment: str = setting("gr1", "robot the checkpoint must be for")
    profile: str = setting(SIM, PROFILE_HELP)
    engine: str = setting("auto", ENGINE_HELP)
    dtype: str = setting("auto", DTYPE_HELP)
    device: str = setting("auto", DEVICE_HELP)
    threads: int = setting(0, THREADS_HELP, "", 0, 256)
    precision: str = setting("fp32", PRECISION_HELP)
    engine_fallback: bool = setting(False, FALLBACK_HELP)
    exported: str = setting("", EXPORTED_HELP)
    compiled: bool = setting(False, COMPILED_HELP)
    cache_folder: str = setting(
        "", "where compiled networks are kept between starts; empty: in the user's cache folder"
    )
    rate_hz: float = setting(10.0, "highest rate of tokens", "Hz", 0.1, 60.0)
    follow_camera: bool = setting(True, "ticks settle shortly after a picture comes; the rate stays to 0.5 %")
    token_dtype: str = setting("bfloat16", "number format of the tokens: 'float32', 'bfloat16' or 'float16'")
    image_warn_s: float = setting(0.15, "age of the newest image that is worth a warning", "s", 0.02, 5.0)
    max_image_age_s: float = setting(0.3, "age from which an image is not encoded", "s", 0.02, 5.0)
    max_future_s: float = setting(0.1, "how far a stamp may lie ahead of the clock", "s", 0.0, 1.0)
    frozen_images: int = setting(
        10, "identical images in a row that mean a frozen camera; 0: never (a simulated still scene)", "", 0, 1000
    )
    max_instruction_bytes: int = setting(512, "longest sentence that is taken, in UTF-8", "", 1, 100000)
    warm_up_evaluations: int = setting(3, "evaluations of the encoder before activation", "", 1, 100)
    thread_priority: int = setting(10, "SCHED_FIFO priority of the loop where allowed; 0: none", "", 0, 90)

    periodicity_mean_warn_hz: float = rate_threshold(0.3, "mean_error", "warn")
    periodicity_mean_error_hz: float = rate_threshold(1.0, "mean_error", "error")
    periodicity_deviation_warn_hz: float = rate_threshold(1.0, "standard_deviation", "warn")
    periodicity_deviation_error_hz: float = rate_threshold(2.0, "standard_deviation", "error")
    execution_mean_warn_us: float = time_threshold(80_000.0, "mean_error", "warn")
    execution_mean_error_us: float = time_threshold(100_000.0, "mean_error", "error")
    execution_deviation_warn_us: float = time_threshold(20_000.0, "standard_deviation", "warn")
    execution_deviation_error_us: float = time_threshold(40_000.0, "standard_deviation", "error")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("engine", self.engine, ENGINES)
        check_choice("dtype", self.dtype, DTYPES)
        check_choice("device", self.device, DEVICES)
        check_choice("precision", self.precision, PRECISIONS)
        check_choice("token_dtype", self.token_dtype, TOKEN_TYPES)
        check_profile(self, _AGES)
        if self.image_warn_s > self.max_image_age_s:
            raise ConfigError(
                f"image_warn_s {self.image_warn_s} must not be above max_image_age_s {self.max_image_age_s}"
            )
        if self.frozen_images == 1:
            raise ConfigError("frozen_images must be 0 (never) or at least 2: one image is identical to none")

    @property
    def wire_type(self) -> WireType:
        """``token_dtype`` as the number that messages carry."""
        return WireType[self.token_dtype.upper()]


_AGES = ("image_warn_s", "max_image_age_s", "max_future_s")
