# SPDX-License-Identifier: Apache-2.0
"""The matrices of the diffusion transformer in 8-bit floating point: half of bfloat16 to read, where reading is the limit.

Weights are stored as float8 (e4m3) with a scale for each row; activations are scaled row by row in each call, and the product is
bfloat16. What is small (norms, modulations, per-robot tables) stays as it is.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import ScalingType

from gr00t_policy.model.action_head import ActionHead
from gr00t_policy.runtime.start_check import EngineRefusedError

_LARGEST = torch.finfo(torch.float8_e4m3fn).max  # 448
_SMALLEST_SCALE = 1e-12  # a row of zeros has a scale, too
_MULTIPLE = 16  # of both sides of a matrix, for the kernels of a GPU
_LEAST_CAPABILITY = (8, 9)  # Ada, of GPUs: older ones multiply no float8


class Fp8Linear(nn.Module):
    """In place of a linear layer (out, in): (..., in) -> (..., out) in bfloat16."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, scale = _scaled(linear.weight.detach())
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale.t().contiguous())  # (1, out)
        self.register_buffer("bias", linear.bias.detach().to(torch.bfloat16))
        self.weight: Tensor
        self.scale: Tensor
        self.bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        rows, scale = _scaled(x.reshape(-1, x.shape[-1]))
        row_wise = ScalingType.RowWise
        product = F.scaled_mm(rows, self.weight.t(), scale, row_wise, self.scale, row_wise, output_dtype=torch.bfloat16)
        return (product + self.bias).reshape(*x.shape[:-1], -1)


def require_fp8(device: str) -> None:
    """Raises EngineRefusedError for a GPU that cannot multiply in float8; a CPU emulates it."""
    if device == "cpu":
        return
    capability = torch.cuda.get_device_capability(device)
    if capability < _LEAST_CAPABILITY:
        have, need = (".".join(map(str, one)) for one in (capability, _LEAST_CAPABILITY))
        raise EngineRefusedError(
            f"dtype 'float8' is refused: {torch.cuda.get_device_name(device)} has compute capability {have}, and float8 needs "
            f"{need} or more; use 'bfloat16'"
        )


def matrices_to_fp8(head: ActionHead) -> int:
    """Replace the linear layers of every block that work in each Euler step; returns how many numbers became 8-bit.

    Keys and values of cross attention stay: they are computed once per message of tokens.
    """
    numbers = 0
    for place, block in enumerate(head.dit.blocks):
        names = ["attention.query", "attention.out", "ff_in", "ff_out"]
        names += ["attention.key", "attention.value"] * (place % 2)
        for name in names:
            owner = block.get_submodule(name.rpartition(".")[0])
            linear = block.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            if linear.in_features % _MULTIPLE == 0 and linear.out_features % _MULTIPLE == 0:
                setattr(owner, name.rpartition(".")[2], Fp8Linear(linear))
                numbers += linear.weight.numel()
    return numbers


def _scaled(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(N, K) -> float8 (N, K) and the scales (N, 1), float32, by which it has to be multiplied."""
    scale = (rows.abs().amax(dim=1, keepdim=True).float() / _LARGEST).clamp_min(_SMALLEST_SCALE)
    return (rows / scale).to(torch.float8_e4m3fn), scale
