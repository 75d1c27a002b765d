# SPDX-License-Identifier: Apache-2.0
"""The ways to execute chunks, by name."""

from gr00t_policy.runtime.chunk_ensemble import ChunkEnsemble
from gr00t_policy.runtime.chunk_inpainting import ChunkInpainter
from gr00t_policy.runtime.chunk_plan import ChunkPlan
from gr00t_policy.runtime.chunk_switching import ChunkSwitcher
from gr00t_policy.runtime.chunking import ChunkBlender
from gr00t_policy.runtime.config import BLEND_TIME_S, CHUNK_MODES, check_choice
from gr00t_policy.runtime.interpolation import INTERPOLATIONS


def make_plan(mode: str, joints: int, blend_time_s: float = BLEND_TIME_S, interpolation: str = "linear") -> ChunkPlan:
    """An empty plan of the mode: 'blend', 'switch', 'ensemble' or 'rtc'. blend_time_s: of 'blend' alone. Raises ConfigError."""
    check_choice("chunk_mode", mode, CHUNK_MODES)
    check_choice("interpolation", interpolation, INTERPOLATIONS)
    smooth = interpolation == "smooth"
    if mode == "switch":
        return ChunkSwitcher(joints, smooth=smooth)
    if mode == "ensemble":
        return ChunkEnsemble(joints, smooth=smooth)
    if mode == "rtc":
        return ChunkInpainter(joints, smooth=smooth)
    return ChunkBlender(joints, blend_time_s, smooth=smooth)
