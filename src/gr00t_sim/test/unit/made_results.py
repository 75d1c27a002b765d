# SPDX-License-Identifier: Apache-2.0
"""Results of episodes that nobody ran, for tests of what becomes of results."""

from collections.abc import Iterable

from gr00t_sim.evaluation.episode import EpisodeKey, EpisodeResult, EpisodeSettings
from gr00t_sim.evaluation.identity import Identity
from gr00t_sim.rollout import Outcome

_SENTENCE = "put the red can “away”\u2028"  # bytes beyond ASCII and a line end that is none in JSON
SETTINGS = EpisodeSettings(20.0, 0.1, 0.0, "openvino", "int8")


def made_identity(
    checkpoint: str = "a" * 64, settings: EpisodeSettings = SETTINGS, code: str = "c" * 64, folder: str = "models/tiny"
) -> Identity:
    return Identity(folder, checkpoint, settings, code)


def made_result(
    seed: int,
    *,
    success: bool = True,
    task: str = "choose_bin",
    language: str = "own",
    progress: float | None = None,
    said: str = "red can in blue bin",
) -> EpisodeResult:
    best = progress if progress is not None else float(success)
    outcome = Outcome(success, "red can", ("red can",) * success, 60, said, best, said, _SENTENCE)
    return EpisodeResult(EpisodeKey(task, language, seed), _SENTENCE, outcome)


def made_results(successes: Iterable[bool], **names: str) -> list[EpisodeResult]:
    """Seeds 0, 1, ... with these ends."""
    return [made_result(seed, success=success, **names) for seed, success in enumerate(successes)]
