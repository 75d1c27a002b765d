# SPDX-License-Identifier: Apache-2.0
"""Which episodes are run and how: the options that every way of evaluating shares."""

import math
from dataclasses import dataclass
from pathlib import Path

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.config import EULER_STEPS
from gr00t_policy.runtime.config import BLEND_TIME_S, CHUNK_MODES, ENGINES, PRECISIONS, ControllerConfig, check_choice
from gr00t_policy.runtime.interpolation import INTERPOLATIONS
from gr00t_sim.evaluation.episode import EpisodeKey, EpisodeSettings
from gr00t_sim.evaluation.seeds import EVALUATION_SEEDS
from gr00t_sim.evaluation.sentences import LANGUAGES, languages_of
from gr00t_sim.looks import looks_named
from gr00t_sim.rollout import PERIOD_S
from gr00t_sim.tasks.registry import make_task, suite_named

_ENGINES = tuple(name for name in ENGINES if name != "onnx")  # which needs the folder that `gr00t export` wrote


@dataclass(frozen=True)
class EpisodeOptions:
    """Tasks, seeds, sentences; and how an episode is run."""

    task: str = ""
    """Task name; default: those of the suite."""
    suite: str = ""
    """Suite of tasks; the default is 'gr1_tabletop', all of them."""
    episodes: int = len(EVALUATION_SEEDS)
    """Episodes per task and language."""
    seed: int = EVALUATION_SEEDS.start
    """Seed of the first scene; nothing to train on is made of scenes 10000 to 10099."""
    language: tuple[str, ...] = LANGUAGES
    """own: the scene's sentence; other: one that names another object or bin; empty: none."""
    max_s: float = 20.0
    """Time limit of an episode [s]."""
    blend_time_s: float = BLEND_TIME_S
    """Memory of the plan that chunks are blended into [s]; default: as on the robot."""
    head_every: int = 1
    """Control periods (50 ms) from one evaluation of the head to the next: how much of a chunk is executed. On the robot
    the head is asked in every tick."""
    chunk_mode: str = "blend"
    """How chunks become one motion: blend, switch, ensemble or rtc; docs/chunk_execution.md compares them."""
    interpolation: str = "linear"
    """Between the steps of a chunk: linear or smooth. Here targets are given at the steps alone, so it matters little."""
    staggered: bool = False
    """Euler steps of several chunks in one pass, as with the controller's parameter: a chunk is then of the joint state of
    steps - 1 ticks (of 120 Hz) ago; docs/chunk_execution.md. Not with chunk mode rtc."""
    noise_scale: float | None = None
    """Scale of the noise that chunks begin as; default: 0 for GR00T, the flow's centre, as on the robot; 1 for a Diffusion
    Policy, as published."""
    engine: str = "openvino"
    """auto, openvino (as on the robot), torch or cuda_graph."""
    precision: str = "int8"
    """Precision of the OpenVINO engine; a Diffusion Policy has float32 alone."""
    steps: int = 0
    """Euler steps of the head: 1, 2, 4, 8 or 16; 0: the checkpoint's."""
    tokenizer: Path | None = None
    """Folder of the tokenizer, for a released checkpoint that has none."""
    looks: str = "none"
    """How pictures vary from scene to scene: none, mild or strong; docs/tasks.md shows them."""
    workers: int = 2
    """Processes; one a core."""

    def __post_init__(self) -> None:
        if self.suite and self.task:
            raise ConfigError(f"give --task {self.task} or --suite {self.suite}, not both")
        for name in self.tasks:
            make_task(name)
        looks_named(self.looks)
        unknown = [name for name in self.language if name not in LANGUAGES]
        if unknown or not self.language or self.episodes < 1 or self.workers < 1 or self.seed < 0:
            raise ConfigError(
                "episodes and workers must be at least 1, seed not below 0, "
                f"language among {', '.join(LANGUAGES)}: {self}"
            )
        if set(self.tasks) == set(self.tasks_left_out):
            raise ConfigError(
                f"nothing to run: in {', '.join(self.tasks)} there is nothing else to ask for; give --language own or empty too"
            )
        if not PERIOD_S <= self.max_s < math.inf:
            raise ConfigError(f"max_s must be at least one control period, {PERIOD_S:g} s: {self.max_s}")
        if self.head_every < 1:
            raise ConfigError(f"head_every counts control periods and must be at least 1, got {self.head_every}")
        if self.steps not in (0, *EULER_STEPS):
            raise ConfigError(
                f"steps is {self.steps}; choose one of: {', '.join(map(str, EULER_STEPS))}, or 0 for the checkpoint's"
            )
        check_choice("chunk_mode", self.chunk_mode, CHUNK_MODES)
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        ControllerConfig(chunk_mode=self.chunk_mode, staggered=self.staggered)  # refuses what does not go together
        if self.engine not in _ENGINES:
            raise ConfigError(f"engine '{self.engine}' runs no evaluation; choose one of: {', '.join(_ENGINES)}")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision '{self.precision}' is unknown; choose one of: {', '.join(PRECISIONS)}")

    @property
    def tasks(self) -> tuple[str, ...]:
        return (self.task,) if self.task else suite_named(self.suite or "gr1_tabletop")

    @property
    def tasks_left_out(self) -> tuple[str, ...]:
        """Tasks without an episode: only another wish is to be asked for, and they leave no choice."""
        return tuple(name for name in self.tasks if not languages_of(make_task(name), self.language))

    @property
    def settings(self) -> EpisodeSettings:
        return EpisodeSettings(
            self.max_s,
            self.blend_time_s,
            self.noise_scale,
            self.engine,
            self.precision,
            self.head_every,
            self.looks,
            self.steps,
            self.chunk_mode,
            self.interpolation,
            self.staggered,
            "" if self.tokenizer is None else str(self.tokenizer),
        )

    def keys(self) -> list[EpisodeKey]:
        """Every episode asked for, a task's one after another, each once."""
        return [
            EpisodeKey(task, language, seed)
            for task in self.tasks
            for language in languages_of(make_task(task), tuple(dict.fromkeys(self.language)))
            for seed in range(self.seed, self.seed + self.episodes)
        ]
