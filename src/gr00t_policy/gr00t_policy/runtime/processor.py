# SPDX-License-Identifier: Apache-2.0
"""What the processor can do itself."""

from pathlib import Path

_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}  # the last as Arm calls it


def has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """False where the kernel tells the processor's features and none of them multiplies in bfloat16: then it is emulated."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return True
    told = [line.partition(":")[2].split() for line in lines if line.lower().startswith(("flags", "features"))]
    return not told or not _BFLOAT16.isdisjoint(told[0])
