# SPDX-License-Identifier: Apache-2.0
"""One evaluated episode: what names it, how it is run, how it ended."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import Gr00tError
from gr00t_policy.runtime.policy import Gr00tPolicy
from gr00t_sim.checkpoint_policy import load_policy
from gr00t_sim.evaluation.sentences import other_sentence
from gr00t_sim.rollout import Outcome, PolicyDriver, Watcher, rollout
from gr00t_sim.simulation import TabletopSim


class EvaluationError(Gr00tError):
    """Results do not belong together, are damaged, or could not be made."""


@dataclass(frozen=True, order=True)
class EpisodeKey:
    """Which episode: the task, what is said ('own', 'other', 'empty') and the seed of scene and noise."""

    task: str
    language: str
    seed: int

    def __str__(self) -> str:
        return f"{self.task}, sentence '{self.language}', seed {self.seed}"


@dataclass(frozen=True)
class EpisodeSettings:
    """How every episode is run; times in seconds, looks by name, tokenizer "" = the checkpoint's, the rest as in
    ``load_policy``."""

    max_s: float
    blend_time_s: float
    noise_scale: float | None
    engine: str
    precision: str
    head_every: int = 1
    looks: str = "none"
    steps: int = 0
    chunk_mode: str = "blend"
    interpolation: str = "linear"
    staggered: bool = False
    tokenizer: str = ""


@dataclass(frozen=True)
class EpisodeResult:
    """An episode and its end. heard: what the policy was told; the referee judged by ``outcome.sentence``."""

    key: EpisodeKey
    heard: str
    outcome: Outcome


def result_to_dict(result: EpisodeResult) -> dict[str, Any]:
    """Flat, of JSON values."""
    outcome = asdict(result.outcome)
    return {**asdict(result.key), "heard": result.heard, **outcome, "taken": list(result.outcome.taken)}


def result_from_dict(data: dict[str, Any]) -> EpisodeResult:
    """The inverse of ``result_to_dict``; other keys are left alone. Raises KeyError, TypeError."""
    key = EpisodeKey(**{field.name: data[field.name] for field in fields(EpisodeKey)})
    values = {field.name: data[field.name] for field in fields(Outcome)}
    return EpisodeResult(key, data["heard"], Outcome(**{**values, "taken": tuple(values["taken"])}))


class EpisodeRunner:
    """Owns a policy and the simulator of one task at a time; for one thread (that of its GL contexts).

    Raises CheckpointError when ``checkpoint`` holds none, or one of another hash than what results are kept under.
    """

    def __init__(self, checkpoint: Path, checkpoint_hash: str, settings: EpisodeSettings) -> None:
        self._settings = settings
        self._policy: Gr00tPolicy = load_policy(
            checkpoint,
            settings.engine,
            settings.precision,
            settings.noise_scale,
            settings.steps,
            staggered=settings.staggered,
            tokenizer=Path(settings.tokenizer) if settings.tokenizer else None,
            checkpoint_hash=checkpoint_hash,
        )
        self._sim: TabletopSim | None = None
        self._task = ""

    def run(self, key: EpisodeKey, watch: Watcher | None = None) -> EpisodeResult:
        """Roll the episode out. watch: called with the simulator after every control period. Raises Gr00tError."""
        sim = self._simulator(key.task)
        sentence, told = None, None
        if key.language == "other":
            sentence = other_sentence(sim.task, key.seed, sim.reset(key.seed))
        elif key.language == "empty":
            told = ""
        settings = self._settings
        driver = PolicyDriver(
            sim,
            self._policy,
            settings.blend_time_s,
            settings.head_every,
            settings.chunk_mode,
            settings.interpolation,
            staggered=settings.staggered,
        )
        seen = None if watch is None else lambda step: watch(sim, step)
        outcome = rollout(sim, driver, key.seed, sentence=sentence, told=told, max_s=self._settings.max_s, on_step=seen)
        return EpisodeResult(key, outcome.sentence if told is None else told, outcome)

    def close(self) -> None:
        """Free the GL contexts."""
        if self._sim is not None:
            self._sim.close()
        self._sim, self._task = None, ""

    def _simulator(self, task: str) -> TabletopSim:
        if self._sim is None or self._task != task:
            self.close()
            self._sim, self._task = TabletopSim(task, looks=self._settings.looks), task
        return self._sim
