# SPDX-License-Identifier: Apache-2.0
"""The optimisation loop: stages, learning-rate schedule, averaged weights, log, resume. Knows tensors and batches only."""

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.model.flow import sample_time
from gr00t_policy.model.vla import Vla
from gr00t_policy.training.batches import Batch, DemonstrationBatches, GroundingBatches
from gr00t_policy.training.config import LoopConfig, StageConfig
from gr00t_policy.training.tuning import freeze

Report = Callable[[dict[str, Any]], None]
RESUME = "resume.safetensors"
_LOG_EVERY = 20
_CHECK_EVERY = 100  # steps between looks at episodes that are not learnt from
_CHECK_PICTURES = 32


class TrainingRun:
    """State of a run that can be stopped at any step and continued from its folder.

    held_out: draws from episodes that are not learnt from; its loss is logged as ``flow_held_out``.
    """

    def __init__(
        self,
        config: LoopConfig,
        model: Vla,
        demonstrations: DemonstrationBatches,
        scenes: GroundingBatches | None = None,
        held_out: DemonstrationBatches | None = None,
    ) -> None:
        self.config, self.model = config, model.to(config.device)
        self._demonstrations, self._scenes, self._held_out = demonstrations, scenes, held_out
        self._frozen = freeze(self.model, config.frozen)
        self.average = {name: value.detach().clone() for name, value in self._averaged().items()}
        self._optimiser = torch.optim.AdamW(
            _groups(model, config.weight_decay), lr=1e-4, betas=config.betas, fused=True
        )
        self.step = 0
        self.seconds = 0.0
        self._resume()

    @property
    def total_steps(self) -> int:
        return sum(stage.steps for stage in self.config.stages.values())

    def result(self) -> Vla:
        """The network on the CPU: with the averaged weights where there are any, else the last ones."""
        model = copy.deepcopy(self.model).cpu()
        if self.average:
            model.load_state_dict({name: value.cpu() for name, value in self.average.items()})
        return model.eval()

    def run(self, report: Report) -> None:
        """All remaining steps; ``report`` gets a dictionary every 20 steps."""
        log = self.config.out / "log.jsonl"
        started, before = time.monotonic(), self.seconds
        recent: list[dict[str, float]] = []
        while self.step < self.total_steps:
            name, stage, inside = self._stage()
            values = self._optimise(stage, inside, np.random.default_rng([self.config.seed, self.step]))
            self.step += 1
            self.seconds = before + time.monotonic() - started
            recent.append(values)
            if self.step % _LOG_EVERY == 0 or self.step == self.total_steps:
                means = {key: float(np.mean([item[key] for item in recent if key in item])) for key in recent[-1]}
                line = {"step": self.step, "stage": name, "seconds": round(self.seconds, 1), **means}
                if self._held_out is not None and (self.step % _CHECK_EVERY == 0 or self.step == self.total_steps):
                    line["flow_held_out"] = self._check(self._held_out)
                with log.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                report(line)
                recent = []
            if self.step % self.config.save_every == 0 or self.step == self.total_steps:
                self._save()

    def _stage(self) -> tuple[str, StageConfig, int]:
        start = 0
        for name, stage in self.config.stages.items():
            if self.step < start + stage.steps:
                return name, stage, self.step - start
            start += stage.steps
        raise AssertionError("all stages are done")

    def _optimise(self, stage: StageConfig, inside: int, rng: np.random.Generator) -> dict[str, float]:
        for group in self._optimiser.param_groups:
            group["lr"] = _rate(stage, inside) * (stage.backbone_rate if group["backbone"] else 1.0)
        self.model.train()
        for module in self._frozen:
            module.eval()
        loss, values = self._loss(stage, rng)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        # a short run must not be dominated by its first weights
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self._averaged().items():
                self.average[name].lerp_(value, 1 - decay) if value.is_floating_point() else None
        return {**values, "gradient": float(norm), "rate": _rate(stage, inside)}

    def _averaged(self) -> dict[str, Tensor]:
        """What is averaged: nothing without decay, when the last weights are the result."""
        return self.model.state_dict() if self.config.ema_decay else {}

    @torch.no_grad()
    def _check(self, held_out: DemonstrationBatches) -> float:
        """Loss on the same pictures, noise and flow times each time."""
        self.model.eval()
        rng = np.random.default_rng(self.config.seed)
        return float(self._losses(held_out.draw(_CHECK_PICTURES, 1, rng), rng)["loss_flow"])

    def _loss(self, stage: StageConfig, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        values: dict[str, float] = {}
        total = torch.zeros((), device=self.config.device)
        if stage.images_per_step:
            batch = self._demonstrations.draw(stage.images_per_step, stage.samples_per_image, rng)
            losses = self._losses(batch, rng)
            total = losses["loss_flow"] + stage.aux_weight * losses["loss_aux"]
            values["flow"] = float(losses["loss_flow"].detach())
            if batch["aux_mask"].any():
                values["find"] = float(losses["aux_distance"].detach())
        if stage.looks_per_step:
            found, distance = self._find(self._tensors(self._demonstrations.draw_looks(stage.looks_per_step, rng)))
            total = total + stage.aux_weight * found
            values["find"] = float(distance.detach())
        if stage.scenes_per_step:
            assert self._scenes is not None
            found, distance = self._find(self._tensors(self._scenes.draw(stage.scenes_per_step, rng)))
            total = total + stage.aux_weight * found
            values["find_scenes"] = float(distance.detach())
        return total, values

    def _losses(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """All losses of a batch of demonstrations at random noise and flow times."""
        head = self.model.config.head
        tensors = self._tensors({**batch, "noise": rng.normal(size=batch["action"].shape).astype(np.float32)})
        times = sample_time(len(batch["state"]), alpha=head.beta_alpha, beta=head.beta_beta, s=head.noise_s, rng=rng)
        tensors["t"] = times.clamp(min=0).to(self.config.device)
        with torch.autocast(torch.device(self.config.device).type, torch.bfloat16, self.config.mixed_precision):
            return self.model.loss(tensors)

    def _find(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        features = self.model.encode(batch["pixel_values"], batch["input_ids"], batch["attention_mask"])
        return self.model.aux_loss(features, batch)

    def _tensors(self, batch: Batch) -> dict[str, Tensor]:
        return {name: torch.from_numpy(value).to(self.config.device) for name, value in batch.items()}

    def _save(self) -> None:
        """Resume point: tensors in one safetensors file, replaced in one move."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for index, state in self._optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{key}": value for key, value in state.items()}
        path = self.config.out / RESUME
        aside = path.with_suffix(".part")
        metadata = {"step": str(self.step), "seconds": str(self.seconds)}
        save_file({name: value.contiguous().cpu() for name, value in tensors.items()}, aside, metadata=metadata)
        aside.replace(path)

    def _resume(self) -> None:
        path = self.config.out / RESUME
        if not path.is_file():
            return
        try:
            tensors = load_file(path, device=self.config.device)
            self.step, self.seconds = read_progress(path)
            self.model.load_state_dict(_under("model.", tensors))
            self.average = _under("average.", tensors)
        except (SafetensorError, RuntimeError, KeyError, ValueError) as error:
            raise CheckpointError(
                f"{path} does not continue this run ({error}); remove it to start again, or use another out folder"
            ) from error
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in _under("optimiser.", tensors).items():
            index, key = name.split(".", 1)
            states.setdefault(int(index), {})[key] = value
        self._optimiser.load_state_dict({**self._optimiser.state_dict(), "state": states})


def read_progress(path: Path) -> tuple[int, float]:
    """(steps done, seconds spent) of a resume point."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    return int(metadata["step"]), float(metadata["seconds"])


def _groups(model: Vla, weight_decay: float) -> list[dict[str, Any]]:
    """Backbone and the rest apart, each with weight decay for matrices and tables only, as GR00T N1 decays."""
    groups = []
    inside = {id(p) for p in model.backbone.parameters()}
    for backbone in (True, False):
        for matrices in (True, False):
            learnt = [p for p in model.parameters() if p.requires_grad]
            chosen = [p for p in learnt if (id(p) in inside) == backbone and (p.ndim >= 2) == matrices]
            groups.append({"params": chosen, "weight_decay": weight_decay if matrices else 0.0, "backbone": backbone})
    return groups


def _rate(stage: StageConfig, inside: int) -> float:
    warm = min(1.0, (inside + 1) / stage.warmup_steps)
    begin = min(stage.warmup_steps, stage.steps - 1) if stage.fall_after_warmup else 0
    fallen = max(inside - begin, 0) / (stage.steps - begin)
    cosine = 0.5 * (1 + math.cos(math.pi * fallen))
    return stage.learning_rate * warm * (stage.final_share + (1 - stage.final_share) * cosine)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
