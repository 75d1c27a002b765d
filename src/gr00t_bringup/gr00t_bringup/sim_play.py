# SPDX-License-Identifier: Apache-2.0
"""``gr00t sim play``: film one episode of a task's scripted expert, head view beside an outside view."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gr00t_bringup.film import FilmWriter, beside, with_caption
from gr00t_bringup.json_file import write_json
from gr00t_policy.core.errors import ConfigError
from gr00t_sim.evaluation.seeds import require_seed
from gr00t_sim.experts.registry import make_expert
from gr00t_sim.robot import HEAD_CAMERA
from gr00t_sim.scene import OUTSIDE_CAMERA
from gr00t_sim.simulation import TabletopSim

_HEIGHT_PX = 480
_OUTSIDE_PX = (640, 480)


@dataclass(frozen=True)
class PlayConfig:
    """What to film. Exit code 0 when the expert solved the task."""

    task: str = "pick_named_object"
    """a task of the simulator"""
    seed: int = 0
    """seed of the scene: same task and seed, same scene"""
    say: str | None = None
    """sentence to obey; default: the task's own choice for this seed"""
    looks: str = "none"
    """how pictures vary with the seed: none, mild or strong"""
    out: Path = Path("out/play.mp4")
    """the film"""
    duration_s: float = 30.0
    """give up after this much simulated time"""
    settle_s: float = 1.0
    """film on after success"""
    json: Path | None = None
    """write success, length and speed here"""

    def __post_init__(self) -> None:
        require_seed(self.seed)
        if not (0 < self.duration_s < math.inf and 0 <= self.settle_s < math.inf):
            raise ConfigError(
                f"duration_s must be above 0, settle_s not below, both finite: {self.duration_s}, {self.settle_s}"
            )


def run(config: PlayConfig) -> int:
    """Film the episode; 0 when it was solved. Raises Gr00tError."""
    sim = TabletopSim(config.task, looks=config.looks)
    began_s = time.monotonic()
    try:
        result = _play(config, sim)
    finally:
        sim.close()
    result["real_time_factor"] = result["duration_s"] / (time.monotonic() - began_s)
    if config.json is not None:
        write_json(config.json, result)
    print(f"{'SOLVED' if result['success'] else 'NOT SOLVED'} in {result['duration_s']:.1f} s: {result['detail']}")
    print(config.out)
    return 0 if result["success"] else 1


def _play(config: PlayConfig, sim: TabletopSim) -> dict[str, Any]:
    sentence = sim.reset(config.seed, config.say)
    period_s = 1 / sim.embodiment.rate_hz
    steps = round(period_s / sim.timestep_s)
    camera = sim.embodiment.camera(HEAD_CAMERA)
    expert = make_expert(sim, period_s)
    status, solved_s = sim.task_state(), None
    with FilmWriter(config.out, sim.embodiment.rate_hz) as film:
        while sim.time_s < config.duration_s and (solved_s is None or sim.time_s < solved_s + config.settle_s):
            sim.set_targets(expert.act(), period_s)
            sim.step_physics(steps)
            status = sim.task_state()
            if status.success and solved_s is None:
                solved_s = sim.time_s
            views = [
                sim.render(OUTSIDE_CAMERA, *_OUTSIDE_PX),
                sim.render(HEAD_CAMERA, camera.width, camera.height),
            ]
            caption = [f"“{sentence}”", f"expert: {expert.phase}", "solved" if status.success else status.detail]
            film.add(with_caption(beside(views, _HEIGHT_PX), caption))
    return {
        "task": config.task,
        "seed": config.seed,
        "looks": config.looks,
        "sentence": sentence,
        "success": solved_s is not None,
        "duration_s": sim.time_s,
        "detail": status.detail,
    }
