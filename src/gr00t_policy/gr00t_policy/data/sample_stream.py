# SPDX-License-Identifier: Apache-2.0
"""Samples of a mixture one after the other, read ahead by threads in bounded memory, from any position on.

Decoding leaves the interpreter lock, so threads share the work. What comes out depends on mixture, sampler and position
alone, never on the number of threads.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Self

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.json_file import shown
from gr00t_policy.data.mixture_reader import MixtureReader, MixtureSample
from gr00t_policy.data.mixture_sampler import (
    DEFAULT_SAMPLER,
    EVERY_SAMPLE,
    MixtureSampler,
    SamplerConfig,
    Share,
)

_BLOCKS = 2  # the one that is given out, and the next


class SampleStream:
    """An endless iterator. Close it, or use it as a context: its threads end with it.

    share: the samples that are given; the others are neither read nor decoded.
    """

    def __init__(
        self,
        reader: MixtureReader,
        config: SamplerConfig = DEFAULT_SAMPLER,
        position: int = 0,
        workers: int = 2,
        share: Share = EVERY_SAMPLE,
    ) -> None:
        if workers < 1 or position < 0:
            raise ConfigError(f"workers must be at least 1 and position at least 0, got {workers} and {position}")
        self._reader = reader
        self._sampler = MixtureSampler(reader.mixture, config)
        self._share = share
        self._position = share.first_from(position)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="samples")
        self._blocks: dict[int, dict[int, _Place]] = {}

    @property
    def position(self) -> int:
        """Number of the sample that comes next."""
        return self._position

    @property
    def memory_bound_bytes(self) -> int:
        """Samples that wait and rows that are kept never take more; each thread decodes one visit besides."""
        samples = _BLOCKS * self._sampler.config.block * self._reader.sample_bytes
        return samples + self._reader.cache_bytes

    def state(self) -> dict[str, Any]:
        """Plain data from which ``resumed`` goes on with the very next sample."""
        return stream_state(self._sampler, self._position)

    def __iter__(self) -> Iterator[MixtureSample]:
        return self

    def __next__(self) -> MixtureSample:
        """Raises DatasetError when the sample's files cannot be read."""
        block, place = divmod(self._position, self._sampler.config.block)
        for ahead in range(block, block + _BLOCKS):
            if ahead not in self._blocks:
                self._blocks[ahead] = self._submitted(ahead)
        sample = self._blocks[block][place].take()
        del self._blocks[block][place]
        self._position = self._share.first_from(self._position + 1)
        for done in [number for number in self._blocks if number < self._position // self._sampler.config.block]:
            del self._blocks[done]
        return sample

    def close(self) -> None:
        """Drop what was read ahead and end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._blocks.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _submitted(self, block: int) -> "dict[int, _Place]":
        """Every place of the block that is still wanted, being read."""
        places = {}
        for visit in self._sampler.visits(block):
            wanted = visit.kept(self._sampler.config.block, self._position, self._share)
            if wanted.places:
                future = self._pool.submit(self._reader.read, wanted)
                places.update({place: _Place(future, number) for number, place in enumerate(wanted.places)})
        return places


def stream_state(sampler: MixtureSampler, position: int) -> dict[str, Any]:
    """What a stream is at: position, sampler and the mixture's fingerprint."""
    return {"position": position, "mixture": sampler.mixture.fingerprint, **asdict(sampler.config)}


def resumed_position(state: Any, sampler: MixtureSampler) -> int:
    """The position in ``state`` (of ``stream_state``). Raises ConfigError when it is of another mixture or sampler."""
    position = state.get("position") if isinstance(state, dict) else None
    if type(position) is not int or position < 0:
        raise ConfigError(f"this is not the state of a stream of samples: {shown(state)}")
    for key, value in stream_state(sampler, position).items():
        if state.get(key) != value:
            raise ConfigError(
                f"the stream cannot go on from sample {position}: {key} was {shown(state.get(key))}, now it is {shown(value)}; "
                "use the same mixture and settings, or begin at 0"
            )
    return position


class _Place:
    """One sample of a visit that is being read."""

    def __init__(self, future: "Future[list[MixtureSample]]", number: int) -> None:
        self._future, self._number = future, number

    def take(self) -> MixtureSample:
        return self._future.result()[self._number]
