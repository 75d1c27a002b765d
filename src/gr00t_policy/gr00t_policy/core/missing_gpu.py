# SPDX-License-Identifier: Apache-2.0
"""Why torch finds no GPU, and what helps. Knows no torch: who asks may have none."""


def missing_gpu_remedy(cuda: str | None) -> str:
    """cuda: version that torch is built for (``torch.version.cuda``); None or empty: for CPUs alone."""
    if not cuda:
        return "install torch for CUDA: GR00T_TORCH=cuda make setup"
    # A driver that is too old is torch's silent fall to the CPU.
    return (
        f"torch is built for CUDA {cuda}: the driver, which nvidia-smi shows, must be new enough for it (CUDA 13: 580 or newer), "
        "and the GPU visible here"
    )
