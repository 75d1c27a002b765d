# SPDX-License-Identifier: Apache-2.0
"""Batches of a mixture, read by torch's worker processes: for decoding that needs more cores than threads can keep busy.

A worker reads whole blocks; what comes out is, sample by sample, what ``SampleStream`` gives from the same position.
"""

import signal
import threading
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.mixture_reader import MixtureReader, MixtureSample
from gr00t_policy.data.mixture_sampler import DEFAULT_SAMPLER, MixtureSampler, SamplerConfig
from gr00t_policy.data.sample_stream import stream_state

_PREFETCH = 2  # blocks asked for ahead of each worker


class MixtureLoader:
    """An endless iterator over lists of ``batch_size`` samples. Its worker processes end when it is closed.

    Samples of at most ``1 + 2 * workers`` blocks wait, in all processes together.
    """

    def __init__(
        self,
        reader: MixtureReader,
        config: SamplerConfig = DEFAULT_SAMPLER,
        *,
        batch_size: int,
        position: int = 0,
        workers: int = 2,
    ) -> None:
        if batch_size < 1 or position < 0 or workers < 1:
            raise ConfigError(
                f"batch_size and workers must be at least 1, position at least 0: {batch_size}, {workers}, {position}"
            )
        self._handler = signal.getsignal(signal.SIGCHLD)
        self._sampler = MixtureSampler(reader.mixture, config)
        self._batch_size, self._position = batch_size, position
        block, self._skip = divmod(position, config.block)
        self._blocks: Iterator[list[MixtureSample]] | None = iter(
            DataLoader(
                _Blocks(reader, self._sampler),
                batch_size=None,
                sampler=_From(block),
                num_workers=workers,
                prefetch_factor=_PREFETCH,
                collate_fn=_as_it_is,
                multiprocessing_context="spawn",  # threads of decoders do not survive a fork
            )
        )
        self._waiting: list[MixtureSample] = []

    @property
    def position(self) -> int:
        """Number of the sample that comes next."""
        return self._position

    def state(self) -> dict[str, Any]:
        """Plain data from which ``sample_stream.resumed_position`` finds the next sample again."""
        return stream_state(self._sampler, self._position)

    def __iter__(self) -> Iterator[list[MixtureSample]]:
        return self

    def __next__(self) -> list[MixtureSample]:
        """Raises DatasetError when a file of the block cannot be read."""
        if self._blocks is None:
            raise StopIteration
        while len(self._waiting) < self._batch_size:
            self._waiting += next(self._blocks)[self._skip :]
            self._skip = 0
        batch, self._waiting = self._waiting[: self._batch_size], self._waiting[self._batch_size :]
        self._position += self._batch_size
        return batch

    def close(self) -> None:
        """End the worker processes, and give back the handler of ended children, which torch takes for the whole process."""
        self._blocks, self._waiting = None, []
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, self._handler or signal.SIG_DFL)


class _Blocks(Dataset[list[MixtureSample]]):
    """Block number -> its samples in order."""

    def __init__(self, reader: MixtureReader, sampler: MixtureSampler) -> None:
        self._reader, self._sampler = reader, sampler

    def __getitem__(self, block: int) -> list[MixtureSample]:
        places: dict[int, MixtureSample] = {}
        for visit in self._sampler.visits(block):
            places.update(zip(visit.places, self._reader.read(visit), strict=True))
        return [places[place] for place in sorted(places)]


class _From(Sampler[int]):
    """Block numbers from ``first`` on, without end."""

    def __init__(self, first: int) -> None:
        self._first = first

    def __iter__(self) -> Iterator[int]:
        block = self._first
        while True:
            yield block
            block += 1


def _as_it_is(block: list[MixtureSample]) -> list[MixtureSample]:
    return block
