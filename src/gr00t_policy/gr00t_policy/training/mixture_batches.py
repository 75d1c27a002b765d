# SPDX-License-Identifier: Apache-2.0
"""Training batches from a mixture of datasets and robots, streamed: one after the other, never all of them in memory.

Of each step's samples a process reads its share alone. Robots stand side by side in a batch, each with the statistics,
padding and weight slot of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.mixture_reader import MixtureReader, MixtureSample
from gr00t_policy.data.mixture_sampler import MixtureSampler, SamplerConfig, Share
from gr00t_policy.data.sample_stream import SampleStream, resumed_position, stream_state
from gr00t_policy.data.transforms import StateActionTransform, to_network
from gr00t_policy.training.batches import Batch, Prompts, Streams
from gr00t_policy.training.mixture_loader import MixtureLoader


@dataclass(frozen=True)
class RobotInBatch:
    """How one robot's joints become numbers for the network, and its weight slot."""

    transform: StateActionTransform
    slot: int


@dataclass(frozen=True)
class Reading:
    """How samples are read ahead. workers: of each training process; processes: whether they are processes, not threads."""

    workers: int = 2
    processes: bool = False


class MixtureBatches:
    """A ``Source`` whose sample number n is picture n of the run: the same for any number of training processes.

    reader: with the network's picture and its chances. robots: by embodiment tag. batch: pictures of a step, of all
    processes together; run: of this process, number ``process``. state_noise_rad: standard deviation on joint states.
    """

    def __init__(
        self,
        reader: MixtureReader,
        sampler: SamplerConfig,
        robots: Mapping[str, RobotInBatch],
        prompts: Prompts,
        *,
        batch: int,
        process: int = 0,
        processes: int = 1,
        state_noise_rad: float = 0.0,
        reading: Reading = Reading(),
    ) -> None:
        if batch % processes:
            raise ConfigError(f"a batch of {batch} cannot be shared out to {processes} processes; choose a multiple")
        cameras = {part.entry.name: len(part.robot.cameras) for part in reader.mixture.parts}
        if len(set(cameras.values())) != 1:
            raise ConfigError(
                f"robots of one network need equally many cameras, here: {cameras}; give the mixture robots with as many"
            )
        self._reader, self._sampler = reader, MixtureSampler(reader.mixture, sampler)
        self._robots, self._prompts, self._noise = robots, prompts, state_noise_rad
        self._share = Share(batch // processes, process, processes)
        self._reading = reading
        self._samples: SampleStream | _Flat | None = None
        self._given = 0  # samples of this process, since the beginning of the run

    def draw(self, rngs: Streams, samples: int) -> Batch:
        """The next len(rngs) samples, each with ``samples`` action samples that share its picture."""
        if self._samples is None:
            self._samples = self._opened()
        chosen = list(islice(self._samples, len(rngs)))
        self._given += len(chosen)
        ids, mask = self._prompts([sample.task for sample in chosen])
        places = np.stack([sample.goal_uv for sample in chosen]) * 2 - 1
        views = np.stack([np.stack(list(sample.images.values())) for sample in chosen])
        return {
            "pixel_values": to_network(views),
            "input_ids": ids,
            "attention_mask": mask,
            "aux_target": np.nan_to_num(places).astype(np.float32),
            "aux_mask": (np.abs(np.nan_to_num(places, nan=9.0)) <= 1.0).astype(np.float32),
            **self._joints(chosen, rngs, samples),
        }

    def state(self) -> dict[str, Any]:
        """Where the stream is before the next step, whichever share of it this process reads."""
        return stream_state(self._sampler, self._given * self._share.of) | {"batch": self._share.run * self._share.of}

    def resume(self, state: dict[str, Any]) -> str:
        """Go on from ``state``. Raises ConfigError when it is of another mixture, seed, block or batch."""
        batch = self._share.run * self._share.of
        if state.get("batch") != batch:
            raise ConfigError(
                f"the stream was read in batches of {state.get('batch')}, now of {batch}; use the same batch"
            )
        position = resumed_position({key: value for key, value in state.items() if key != "batch"}, self._sampler)
        self.close()
        self._given = position // self._share.of
        return ""

    def close(self) -> None:
        """End the threads or processes that read; the next batch begins them again."""
        if self._samples is not None:
            self._samples.close()
        self._samples = None

    def _opened(self) -> "SampleStream | _Flat":
        position, workers = self._given * self._share.of, self._reading.workers
        if not self._reading.processes:
            return SampleStream(self._reader, self._sampler.config, position, workers, self._share)
        return _Flat(
            MixtureLoader(
                self._reader, self._sampler.config, batch_size=1, position=position, workers=workers, share=self._share
            )
        )

    def _joints(self, chosen: Sequence[MixtureSample], rngs: Streams, samples: int) -> Batch:
        """States, actions, masks and slots (R, ...), robot by robot by its own transform."""
        first = next(iter(self._robots.values())).transform
        horizon, count = len(chosen[0].actions), len(chosen) * samples
        state = np.zeros((count, 1, first.state_dim), np.float32)
        action = np.zeros((count, horizon, first.action_dim), np.float32)
        mask, slots = np.zeros_like(action), np.zeros(count, np.int64)
        for tag in dict.fromkeys(sample.tag for sample in chosen):
            robot = self._robots[tag]
            rows = [row for row, sample in enumerate(chosen) if sample.tag == tag]
            places = (np.array(rows)[:, None] * samples + np.arange(samples)).reshape(-1)
            valid = np.repeat(np.stack([chosen[row].valid for row in rows]), samples, axis=0)
            actions = np.stack([chosen[row].actions for row in rows])
            state[places] = robot.transform.encode_state(self._noisy(chosen, rows, rngs, samples))
            action[places] = np.repeat(robot.transform.encode_actions(actions), samples, axis=0)
            mask[places] = valid[..., None] & robot.transform.action_mask
            slots[places] = robot.slot
        return {"state": state, "action": action, "action_mask": mask, "embodiment_id": slots}

    def _noisy(
        self, chosen: Sequence[MixtureSample], rows: Sequence[int], rngs: Streams, samples: int
    ) -> NDArray[np.float32]:
        """(len(rows) * samples, J) joint states with noise."""
        drawn = [
            chosen[row].state + self._noise * rngs[row].normal(size=(samples, len(chosen[row].state))) for row in rows
        ]
        return np.concatenate(drawn).astype(np.float32)


class _Flat:
    """The samples of a loader one by one."""

    def __init__(self, loader: MixtureLoader) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[MixtureSample]:
        return self

    def __next__(self) -> MixtureSample:
        return next(self._loader)[0]

    def close(self) -> None:
        self._loader.close()
