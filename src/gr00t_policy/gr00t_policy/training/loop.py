# SPDX-License-Identifier: Apache-2.0
"""The optimisation loop: stages, learning-rate schedule, averaged weights, log, resume. Knows tensors and batches only.

One process, or several under ``accelerate launch``: each takes its share of every step's pictures. A picture is drawn, cut
and noised by random numbers of its own (seed, step, its place in the step), so the shares do not change what is drawn. A
loss counts by its valid numbers among those of the whole step, so the shares do not change what is minimised.
Dropout is drawn per share: a network with dropout drops other values in other shares.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gr00t_policy.core.errors import CheckpointError, ConfigError, TrainingError
from gr00t_policy.data.durable import written_aside
from gr00t_policy.model.weights import all_finite
from gr00t_policy.training.batches import Batch, DemonstrationBatches, GroundingBatches, Source, Streams, streams
from gr00t_policy.training.config import LoopConfig, StageConfig
from gr00t_policy.training.objective import Objective, Shares, StepObjective
from gr00t_policy.training.processes import accelerator, told_to_shard
from gr00t_policy.training.run_log import RunLog
from gr00t_policy.training.sharding import fill, gathered, shard, spread_like, whole

Report = Callable[[dict[str, Any]], None]
Network = TypeVar("Network", bound=nn.Module)
RESUME = "resume.safetensors"
_LOGGED = ("gradient", "rate", "waiting")  # beside what the objective shows
_CHECK_EVERY = 100  # steps between looks at episodes that are not learnt from, each at the next line of the log
_CHECK_PICTURES = 32


class TrainingRun(Generic[Network]):
    """State of a run that can be stopped at any step and continued from its folder, which all processes must share.

    held_out: draws from episodes that are not learnt from; its loss is logged as ``flow_held_out``, or under another name
    than ``flow`` where the objective has one. objective: makes of the network what is minimised. sharded: each process has
    a part of the network, by the config's word or because accelerate launch was told to use FSDP.
    """

    def __init__(
        self,
        config: LoopConfig,
        model: Network,
        demonstrations: Source,
        scenes: GroundingBatches | None = None,
        held_out: Source | None = None,
        objective: Callable[..., StepObjective] = Objective,
    ) -> None:
        self._processes = accelerator(config.device)
        self._device = self._processes.device
        self.sharded = config.shard or told_to_shard(self._processes)
        self.config, self.model = config, model if self.sharded else model.to(self._device)
        self._demonstrations, self._scenes, self._held_out = demonstrations, scenes, held_out
        self._shares = self._processes.num_processes * config.accumulate
        _check_shares(config, self._shares)
        self._plain = objective(model, mixed_precision=config.mixed_precision)
        self._logged = (*self._plain.shown, *_LOGGED)
        self._frozen = self._plain.freeze(config.frozen)
        if self.sharded:
            shard(self._plain, self._device.type, self._processes.num_processes)
        self.average = {name: value.detach().clone() for name, value in self._averaged().items()}
        self._optimiser = torch.optim.AdamW(
            _groups(self._plain, config.weight_decay), lr=1e-4, betas=config.betas, fused=True
        )
        self._objective = self._plain if self.sharded else self._processes.prepare(self._plain)
        self.step = 0
        self.seconds = 0.0
        self.waited_s = 0.0
        self.unchecked = ""  # what could not be told of the resume point, for people
        self._resume()

    @property
    def is_main(self) -> bool:
        """Whether this process writes: the only one, or the first of several."""
        return bool(self._processes.is_main_process)

    @property
    def total_steps(self) -> int:
        return sum(stage.steps for stage in self.config.stages.values())

    @torch.no_grad()
    def result(self) -> Network:
        """The network on the CPU: with the averaged weights where there are any, else the last ones.

        Where the network is sharded all processes must ask, and only the main one gets values.
        """
        # Filled tensor by tensor, of the kind of ``self.model``: a GPU that trains a network may have no room for a copy.
        filled: Any = self._plain.empty()
        targets = filled.state_dict()
        for name, value in (self.average or self.model.state_dict()).items():
            one = whole(value)
            if self.is_main or not self.sharded:
                targets[name].copy_(one)
        return filled.eval()

    @property
    def waited_share(self) -> float:
        """Share of the time of training in which the main process waited for its next pictures."""
        return self.waited_s / self.seconds if self.seconds else 0.0

    @property
    def processes(self) -> int:
        """How many train together."""
        return int(self._processes.num_processes)

    def run(self, report: Report, checkpoint: Callable[[], object] = lambda: None) -> None:
        """All remaining steps; in the main process ``report`` gets every line of the log.

        checkpoint: called in all processes every ``checkpoint_every`` steps but at the last one.
        """
        log = RunLog(self.config.out, self.step, tensorboard=self.config.tensorboard) if self.is_main else None
        started, before = time.monotonic(), self.seconds
        recent: list[dict[str, float]] = []
        while self.step < self.total_steps:
            name, stage, inside = self._stage()
            began, waited_s = time.monotonic(), self.waited_s
            recent.append(self._optimise(stage, inside))
            recent[-1]["waiting"] = (self.waited_s - waited_s) / (time.monotonic() - began)
            self.step += 1
            self.seconds = before + time.monotonic() - started
            last = self.step == self.total_steps
            if self.step % self.config.log_every == 0 or last:
                means = self._means_of_all(recent)
                line = {"step": self.step, "stage": name, "seconds": round(self.seconds, 1), **means}
                due = self.step % _CHECK_EVERY < self.config.log_every or last
                if self._held_out is not None and due and (self.is_main or self.sharded):  # sharded: all or none
                    line[f"{self._plain.shown[0]}_held_out"] = self._check(self._held_out)
                if log is not None:
                    log.add(line)
                    report(line)
                recent = []
            if self.config.checkpoint_every and self.step % self.config.checkpoint_every == 0 and not last:
                checkpoint()  # before the resume point, from which a run that is killed in it comes here again
            if self.step % self.config.save_every == 0 or last:
                self._save()

    def _stage(self) -> tuple[str, StageConfig, int]:
        start = 0
        for name, stage in self.config.stages.items():
            if self.step < start + stage.steps:
                return name, stage, self.step - start
            start += stage.steps
        raise AssertionError("all stages are done")

    def _optimise(self, stage: StageConfig, inside: int) -> dict[str, float]:
        """One step; its values for the log. Raises TrainingError where the gradient is not finite, before it is taken."""
        for group in self._optimiser.param_groups:
            group["lr"] = _rate(stage, inside) * (stage.backbone_rate if group["backbone"] else 1.0)
        self.model.train()
        for module in self._frozen:
            module.eval()
        shown: list[dict[str, float]] = []
        first = self._processes.process_index * self.config.accumulate
        began = time.monotonic()
        drawn = [self._drawn(stage, share) for share in range(first, first + self.config.accumulate)]
        self.waited_s += time.monotonic() - began
        for number, (batches, counts) in enumerate(zip(drawn, self._counts(drawn), strict=True)):
            with self._alone(last=number == len(drawn) - 1):
                torch.manual_seed(_dropout_seed(self.config.seed, self.step, first + number))
                values = self._objective(*batches, stage.aux_weight, counts)
                (values.pop("total") / self.config.accumulate).backward()
            shown.append({name: float(value) for name, value in values.items()})
        norm = float(whole(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)))
        if not math.isfinite(norm):  # the same in all processes, so that none waits for another
            raise TrainingError(
                f"step {self.step + 1}: the gradient is {norm}, so the step was not taken and the last resume point stays. "
                "Look for rows far outside the range of the others (gr00t data check DATASET), or take a lower learning "
                "rate in another --out: the same command comes to the same step with the same samples"
            )
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        # a short run must not be dominated by its first weights
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self._averaged().items():
                self.average[name].lerp_(value, 1 - decay) if value.is_floating_point() else None
        return {**_means(shown), "gradient": norm, "rate": _rate(stage, inside)}

    def _alone(self, *, last: bool) -> contextlib.AbstractContextManager[None]:
        """Gradients of all but the last part of a step stay in this process, unless the network is cut for want of memory:
        gradients that stay are whole ones."""
        return contextlib.nullcontext() if last or self.sharded else self._processes.no_sync(self._objective)

    def _counts(self, drawn: Sequence[list[dict[str, Tensor] | None]]) -> list[Shares]:
        """What the losses of each of this process's parts count for: their valid numbers over the mean part's."""
        own = torch.zeros(len(drawn), len(Shares._fields), dtype=torch.float64)
        for row, batches in zip(own, drawn, strict=True):
            row[0] = 0.0 if batches[0] is None else batches[0]["action_mask"].sum()
            for kind, batch in enumerate(batches, start=1):  # demonstrations, looks, scenes
                if batch is not None:
                    row[kind] = batch["aux_mask"].unflatten(-1, (-1, 2)).amin(dim=-1).sum()  # as the localiser counts
        total = self._processes.reduce(own.sum(dim=0).to(self._device), "sum").cpu()
        return [Shares(*row) for row in torch.where(total > 0, own * self._shares / total.clamp(min=1), 1.0).tolist()]

    def _means_of_all(self, recent: Sequence[dict[str, float]]) -> dict[str, float]:
        """Of each logged value over the steps and processes that have it."""
        table = torch.zeros(len(self._logged), 2, device=self._device)
        for row, name in enumerate(self._logged):
            known = [values[name] for values in recent if name in values]
            table[row] = torch.tensor([sum(known), len(known)])
        sums = self._processes.reduce(table, "sum").tolist()
        return {name: total / count for name, (total, count) in zip(self._logged, sums, strict=True) if count}

    def _averaged(self) -> dict[str, Tensor]:
        """What is averaged: nothing without decay, when the last weights are the result."""
        return self.model.state_dict() if self.config.ema_decay else {}

    @torch.no_grad()
    def _check(self, held_out: Source) -> float:
        """Loss on the same pictures, noise and times each time."""
        self.model.eval()
        batch = self._noised(held_out, streams(self.config.seed, places=range(_CHECK_PICTURES)), 1)
        return float(self._plain(batch, None, None, 0.0)[self._plain.shown[0]])

    def _drawn(self, stage: StageConfig, share: int) -> list[dict[str, Tensor] | None]:
        """One share of the step's demonstrations, of its looks at them, and of its still scenes."""

        def rngs(count: int, kind: int) -> Streams:
            size = count // self._shares
            return streams(self.config.seed, self.step, kind, places=range(share * size, (share + 1) * size))

        demonstrations = looks = scenes = None
        if stage.images_per_step:
            demonstrations = self._noised(self._demonstrations, rngs(stage.images_per_step, 0), stage.samples_per_image)
        if stage.looks_per_step:
            assert isinstance(self._demonstrations, DemonstrationBatches)
            looks = self._tensors(self._demonstrations.draw_looks(rngs(stage.looks_per_step, 1)))
        if stage.scenes_per_step:
            assert self._scenes is not None
            scenes = self._tensors(self._scenes.draw(rngs(stage.scenes_per_step, 2)))
        return [demonstrations, looks, scenes]

    def _noised(self, source: Source, rngs: Streams, samples: int) -> dict[str, Tensor]:
        """A batch of demonstrations at random noise and times."""
        batch = source.draw(rngs, samples)
        shape = (samples, *batch["action"].shape[1:])
        noise = np.concatenate([rng.normal(size=shape).astype(np.float32) for rng in rngs])
        times = [self._plain.draw_times(samples, rng) for rng in rngs]
        return {**self._tensors({**batch, "noise": noise}), "t": torch.cat(times).to(self._device)}

    def _tensors(self, batch: Batch) -> dict[str, Tensor]:
        return {name: torch.from_numpy(value).to(self._device) for name, value in batch.items()}

    def _save(self) -> None:
        """Resume point: tensors in one safetensors file, there whole also after a power cut. By one process, awaited by all.

        Raises TrainingError for NaN or infinity in them, CheckpointError when there is no room; the one before stays.
        """
        state = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        state |= {f"average.{name}": value for name, value in self.average.items()}
        for index, moments in self._optimiser.state_dict()["state"].items():
            state |= {f"optimiser.{index}.{key}": value for key, value in moments.items()}
        tensors = gathered(state, keep=self.is_main)  # all processes take part
        if self.is_main:
            self._write(tensors)
        self._processes.wait_for_everyone()

    def _write(self, tensors: dict[str, Tensor]) -> None:
        if lost := _not_finite(tensors):
            raise TrainingError(
                f"step {self.step}: {lost} hold NaN or infinity, so they are not saved and an earlier resume point stays; "
                "take a lower learning rate in another --out"
            )
        path = self.config.out / RESUME
        metadata = {"step": str(self.step), "seconds": str(self.seconds), "waited_s": str(self.waited_s)}
        metadata["source"] = json.dumps(self._demonstrations.state())
        try:
            with written_aside(path) as aside:
                save_file({name: value.contiguous().cpu() for name, value in tensors.items()}, aside, metadata=metadata)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"step {self.step} could not be saved in {self.config.out} ({error}); an earlier resume point stays: "
                "make room and start again"
            ) from error

    def _resume(self) -> None:
        path = self.config.out / RESUME
        if not path.is_file():
            return
        try:
            tensors = load_file(path, device="cpu")  # a GPU may have no room for them beside the network
            progress = read_progress(path)
            if lost := _not_finite(tensors):
                raise ValueError(f"{lost} hold NaN or infinity")
            fill(self.model.state_dict(), _under("model.", tensors))
            fill(self.average, _under("average.", tensors))
        except (SafetensorError, RuntimeError, KeyError, ValueError) as error:
            raise CheckpointError(
                f"{path} does not continue this run ({error}); remove it to start again, or use another out folder"
            ) from error
        self.step, self.seconds, self.waited_s = progress.step, progress.seconds, progress.waited_s
        self.unchecked = self._demonstrations.resume(progress.source)
        parameters = [one for group in self._optimiser.param_groups for one in group["params"]]
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in _under("optimiser.", tensors).items():
            index, key = name.split(".", 1)
            states.setdefault(int(index), {})[key] = spread_like(value, parameters[int(index)])
        self._optimiser.load_state_dict({**self._optimiser.state_dict(), "state": states})


def _dropout_seed(*key: int) -> int:
    return int(np.random.SeedSequence([*key, 3]).generate_state(1, np.uint64)[0] >> 1)


def _check_shares(config: LoopConfig, shares: int) -> None:
    """Raises ConfigError when a step's pictures cannot be shared out evenly."""
    for name, stage in config.stages.items():
        for kind in ("images_per_step", "looks_per_step", "scenes_per_step"):
            if getattr(stage, kind) % shares:
                raise ConfigError(
                    f"stage '{name}': {kind} {getattr(stage, kind)} cannot be shared out to {shares} (processes times "
                    "accumulate); choose a multiple"
                )


def _means(values: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each key over the dictionaries that have it."""
    keys = {key: None for item in values for key in item}
    return {key: float(np.mean([item[key] for item in values if key in item])) for key in keys}


class Progress(NamedTuple):
    """How far a run was at a resume point. source: state of where its demonstrations come from."""

    step: int
    seconds: float
    waited_s: float
    source: dict[str, Any]


def read_progress(path: Path) -> Progress:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    source = json.loads(metadata.get("source", "{}"))
    return Progress(int(metadata["step"]), float(metadata["seconds"]), float(metadata.get("waited_s", 0.0)), source)


def _groups(objective: StepObjective, weight_decay: float) -> list[dict[str, Any]]:
    """Backbone and the rest apart, each with weight decay for matrices and tables only, as GR00T N1 decays."""
    groups = []
    model, inside = objective.model, {id(p) for p in objective.backbone.parameters()}
    for backbone in (True, False):
        for matrices in (True, False):
            learnt = [p for p in model.parameters() if p.requires_grad]
            chosen = [p for p in learnt if (id(p) in inside) == backbone and (p.ndim >= 2) == matrices]
            groups.append({"params": chosen, "weight_decay": weight_decay if matrices else 0.0, "backbone": backbone})
    return groups


def _not_finite(tensors: dict[str, Tensor]) -> str:
    """Which tensors hold NaN or infinity, in words; nothing when none does."""
    lost = [name for name, value in tensors.items() if not all_finite(value)]
    return f"{len(lost)} of {len(tensors)} tensors, the first of them '{lost[0]}'," if lost else ""


def _rate(stage: StageConfig, inside: int) -> float:
    warm = min(1.0, (inside + 1) / stage.warmup_steps)
    begin = min(stage.warmup_steps, stage.steps - 1) if stage.fall_after_warmup else 0
    fallen = max(inside - begin, 0) / (stage.steps - begin)
    cosine = 0.5 * (1 + math.cos(math.pi * fallen))
    return stage.learning_rate * warm * (stage.final_share + (1 - stage.final_share) * cosine)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
