# SPDX-License-Identifier: Apache-2.0
"""This process among those that train together: alone, or started by ``accelerate launch`` on one or several machines."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType
from accelerate.utils import InitProcessGroupKwargs, parse_flag_from_env

from gr00t_policy.core.errors import ConfigError

_PATIENCE = timedelta(days=1)  # while one process decodes all pictures the others wait


def accelerator(device: str) -> Accelerator:
    """device: 'cpu' or 'cuda' (of several GPUs the one of this process). Raises ConfigError when it is not there."""
    # Stages leave parts of the network out, so that some weights get no gradient.
    processes = Accelerator(
        cpu=device == "cpu",
        mixed_precision="no",  # the objective chooses what is computed in bfloat16
        kwargs_handlers=[
            DistributedDataParallelKwargs(find_unused_parameters=True),
            InitProcessGroupKwargs(timeout=_PATIENCE),
        ],
    )
    if processes.device.type != device:
        raise ConfigError(f"device '{device}' is not available here; torch finds {processes.device.type}")
    return processes


def told_to_shard(processes: Accelerator) -> bool:
    """Whether ``accelerate launch`` was told to use FSDP. On CPUs Accelerate itself does not heed what it was told."""
    if processes.distributed_type == DistributedType.FSDP:
        return True
    return processes.distributed_type == DistributedType.MULTI_CPU and parse_flag_from_env("ACCELERATE_USE_FSDP")


@contextmanager
def main_first(device: str) -> Iterator[bool]:
    """What is inside is done by the main process first, whose files the others then find. Gives whether this is it."""
    processes = accelerator(device)
    with processes.main_process_first():
        yield bool(processes.is_main_process)
