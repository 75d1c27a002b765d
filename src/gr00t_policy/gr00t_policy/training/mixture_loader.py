# SPDX-License-Identifier: Apache-2.0
"""Batches of a mixture, read by torch's worker processes: for decoding that needs more cores than threads can keep busy.

A worker reads whole blocks; what comes out is, sample by sample, what ``SampleStream`` gives from the same position.
"""

import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler

from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.mixture_reader import MixtureReader, MixtureSample
from gr00t_policy.data.mixture_sampler import (
    DEFAULT_SAMPLER,
    EVERY_SAMPLE,
    MixtureSampler,
    SamplerConfig,
    Share,
    Visit,
)
from gr00t_policy.data.sample_stream import stream_state

_PREFETCH = 2  # blocks asked for ahead of each worker
_Read = MixtureSample | DatasetError


class MixtureLoader:
    """An endless iterator over lists of ``batch_size`` samples. Its worker processes end when it is closed.

    share: the samples that are given; the others are neither read nor decoded. Samples of at most ``1 + 2 * workers`` blocks
    wait, in all processes together.
    """

    def __init__(
        self,
        reader: MixtureReader,
        config: SamplerConfig = DEFAULT_SAMPLER,
        *,
        batch_size: int,
        position: int = 0,
        workers: int = 2,
        share: Share = EVERY_SAMPLE,
    ) -> None:
        if batch_size < 1 or position < 0 or workers < 1:
            raise ConfigError(
                f"batch_size and workers must be at least 1, position at least 0: {batch_size}, {workers}, {position}"
            )
        self._handler = signal.getsignal(signal.SIGCHLD)
        self._sampler = MixtureSampler(reader.mixture, config)
        self._batch_size, self._share = batch_size, share
        self._position = share.first_from(position)
        self._blocks: Iterator[list[_Read]] | None = iter(
            DataLoader(
                _Blocks(reader, self._sampler, self._position, share),
                batch_size=None,
                sampler=_From(self._position // config.block),
                num_workers=workers,
                prefetch_factor=_PREFETCH,
                collate_fn=_as_it_is,
                multiprocessing_context="spawn",  # threads of decoders do not survive a fork
            )
        )
        self._waiting: list[_Read] = []

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
        """Raises DatasetError when a file of the batch cannot be read, and again whenever it is asked for this batch: the
        position stays before it, nothing is left out."""
        if self._blocks is None:
            raise StopIteration
        while len(self._waiting) < self._batch_size:
            self._waiting += self._next_block(self._blocks)
        batch: list[MixtureSample] = []
        for read in self._waiting[: self._batch_size]:
            if isinstance(read, DatasetError):
                raise DatasetError(str(read)) from read
            batch.append(read)
        self._waiting = self._waiting[self._batch_size :]
        for _ in batch:
            self._position = self._share.first_from(self._position + 1)
        return batch

    def _next_block(self, blocks: "Iterator[list[_Read]]") -> "list[_Read]":
        try:
            return next(blocks)
        except RuntimeError as error:  # torch's word for a worker that is gone
            raise DatasetError(
                f"a process that reads samples has ended ({error}); from sample {self._position} on one can go on: is there "
                "memory enough, and in /dev/shm? fewer workers need less"
            ) from error

    def close(self) -> None:
        """End the worker processes, and give back the handler of ended children, which torch takes for the whole process."""
        self._blocks, self._waiting = None, []
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, self._handler or signal.SIG_DFL)


class _Blocks(Dataset[list[_Read]]):
    """Block number -> its samples in order, from sample ``first`` on; in the place of what cannot be read, why."""

    def __init__(self, reader: MixtureReader, sampler: MixtureSampler, first: int, share: Share) -> None:
        self._reader, self._sampler, self._first, self._share = reader, sampler, first, share

    def __getitem__(self, block: int) -> list[_Read]:
        places: dict[int, _Read] = {}
        for visit in self._sampler.visits(block):
            wanted = visit.kept(self._sampler.config.block, self._first, self._share)
            if wanted.places:
                places.update(zip(wanted.places, self._read(wanted), strict=True))
        return [places[place] for place in sorted(places)]

    def _read(self, visit: Visit) -> Sequence[_Read]:
        try:
            return self._reader.read(visit)
        except DatasetError as error:
            return [error] * len(visit.places)


class _From(Sampler[int]):
    """Block numbers from ``first`` on, without end."""

    def __init__(self, first: int) -> None:
        self._first = first

    def __iter__(self) -> Iterator[int]:
        block = self._first
        while True:
            yield block
            block += 1


def _as_it_is(block: list[_Read]) -> list[_Read]:
    return block
