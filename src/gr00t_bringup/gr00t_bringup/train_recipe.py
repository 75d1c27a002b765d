# SPDX-License-Identifier: Apache-2.0
"""``gr00t train``: from nothing to a checkpoint. Makes the data a recipe names unless they are there, then trains."""

import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.training.config import LoopConfig, StageConfig, TrainConfig, check_checkpoints


@dataclass(frozen=True)
class Round:
    """Episodes to add (task, or suite of tasks -> how many of each) and stages to train on all that are there by then.

    The first round's episodes are the expert's alone. In those of later rounds the policy of the round before drives for
    a while before the expert takes over, so that they start from that policy's own mistakes (DAgger, Ross et al. 2011;
    with takeovers instead of labels for every state: HG-DAgger, Kelly et al. 2019).
    """

    episodes: dict[str, int]
    stages: dict[str, StageConfig]


@dataclass(frozen=True)
class Recipe:
    """Rounds, each from where the last one ended. suite, scenes: tasks and number of still pictures for localisation."""

    suite: str
    scenes: int
    rounds: tuple[Round, ...]


_SEEDS_PER_ROUND = 3000  # of the 10000 below those of the evaluation
_FIND = StageConfig(steps=2000, learning_rate=1.5e-3, images_per_step=0, scenes_per_step=48)
_LOOK = StageConfig(steps=1200, learning_rate=1.2e-3, images_per_step=0, scenes_per_step=24, looks_per_step=24)
_JOINT = StageConfig(
    steps=8000, learning_rate=1e-3, backbone_rate=0.2, images_per_step=24, samples_per_image=8, scenes_per_step=8
)
# More of what the policy of the second round finds hard.
_HARD = {
    "pick_with_named_hand": 90,
    "handover": 60,
    "pour": 60,
    "stack": 60,
    "pick_named_object": 50,
    "push_to_zone": 50,
    "choose_bin": 40,
    "pick_tall_or_short": 40,
    "two_step": 30,
    "put_in_drawer": 30,
    "open_drawer": 30,
    "pick_ball_by_colour": 30,
}
_TWO_STEPS = StageConfig(
    steps=2, learning_rate=1e-3, images_per_step=2, samples_per_image=2, scenes_per_step=2, warmup_steps=1
)

RECIPES = {
    # The shipped checkpoint, one network for all tasks. Localisation first: the flow has nothing to follow before the
    # named thing is found. Then with hands in view: a grasp fails when the object is seen 1.5 cm beside its place.
    "tiny": Recipe(
        "gr1_tabletop",
        14000,
        (
            Round({"gr1_tabletop": 150}, {"find": _FIND, "look": _LOOK, "joint": _JOINT}),
            Round({"gr1_tabletop": 60}, {"look": _LOOK, "joint": _JOINT}),
            Round(_HARD, {"act": replace(_JOINT, steps=3000, learning_rate=8e-4, backbone_rate=0.3, aux_weight=2.0)}),
        ),
    ),
    # From demonstrations without still scenes: what is looked at are their own pictures, with the simulator's labels of where
    # the named things are in them.
    "demonstrations": Recipe(
        "gr1_tabletop",
        0,
        (
            Round(
                {"gr1_tabletop": 150},
                {
                    "look": replace(_LOOK, steps=3200, scenes_per_step=0, looks_per_step=48),
                    "joint": replace(_JOINT, scenes_per_step=0),
                },
            ),
        ),
    ),
    # The same steps without being told where things are, which recordings of a robot do not say either: at strictly equal data
    # with a policy that has no use for it. All steps act, and the backbone learns as fast as the head: it has found nothing
    # before that a slower rate would keep.
    "without_places": Recipe(
        "gr1_tabletop",
        0,
        (
            Round(
                {"gr1_tabletop": 150},
                {"joint": replace(_JOINT, steps=11200, scenes_per_step=0, aux_weight=0.0, backbone_rate=1.0)},
            ),
        ),
    ),
    # Minutes instead of hours, to see that everything works; its checkpoint does nothing useful.
    "smoke": Recipe(
        "choose_bin",
        16,
        (
            Round(
                {"choose_bin": 2},
                {"find": replace(_TWO_STEPS, images_per_step=0, scenes_per_step=4), "joint": _TWO_STEPS},
            ),
            Round(
                {"choose_bin": 1},
                {"look": replace(_TWO_STEPS, images_per_step=0, looks_per_step=2), "act": _TWO_STEPS},
            ),
        ),
    ),
}


@dataclass(frozen=True)
class TrainVerbConfig:
    """Which recipe, where, on what."""

    recipe: str = "tiny"
    """tiny (the shipped checkpoint, hours on two cores), demonstrations (without still scenes and takeovers), without_places
    (the same, not told where things are), smoke (minutes, to try the path), or pretrain, posttrain, finetune, diffusion_policy,
    which have options of their own: `gr00t train --recipe finetune --help`."""
    budget: float = 1.0
    """Share of the recipe's steps to take, in every stage."""
    rate: float = 1.0
    """Share of the recipe's learning rates, in every stage; they are for a network that knows nothing: less with --initial."""
    out: Path | None = None
    """Run folder; default out/train/<recipe>. An interrupted run is continued."""
    data: Path = Path("out/datasets")
    """Where data are made and looked for."""
    datasets: tuple[Path, ...] = field(default=())
    """Demonstrations of your own (LeRobot v2 with modality.json) instead of the recipe's."""
    initial: Path | None = None
    """Checkpoint of ours to start from (post-training); its localisation stage is then skipped. NVIDIA's: --recipe finetune."""
    new_words: bool = False
    """With --initial: words of the data that are spelt in pieces become tokens; words known before keep their meaning."""
    workers: int = 2
    """Processes that make data."""
    threads: int = 2
    """Threads that train."""
    device: str = "cpu"
    """cpu or cuda."""
    bf16: bool = False
    """Compute in bfloat16 where torch's autocast does; nearly twice as fast where the processor knows it."""
    checkpoint_every: int = 0
    """Steps between checkpoints to evaluate while it trains, <out>/checkpoint-<step>; 0: the last step's alone."""
    keep: int = 5
    """How many of those stay; the oldest are removed."""
    seed: int = 0
    accumulate: int = 1
    """Parts in which a step is taken, one after the other: less memory, the same pictures."""
    save_every: int = 500
    """Steps between resume points."""
    log_every: int = 20
    """Steps between lines of the log, which are means over them."""
    tensorboard: bool = False
    """Write the log for TensorBoard too, to <out>/tensorboard."""

    def __post_init__(self) -> None:
        check_checkpoints(self.checkpoint_every, self.keep)
        if self.recipe not in RECIPES:
            raise ConfigError(
                f"unknown recipe '{self.recipe}'; known: {', '.join(RECIPES)}, pretrain, posttrain, finetune, diffusion_policy"
            )
        if self.new_words and self.initial is None:
            raise ConfigError(
                "--new-words is for a checkpoint that knows some already: give --initial, or leave it out"
            )
        for name, of in (("budget", "steps"), ("rate", "learning rates")):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(
                    f"{name} is a share of the recipe's {of} and must be above 0, got {getattr(self, name)}"
                )
        _check_loop_options(self)


def run(config: TrainVerbConfig) -> int:
    """Make what is missing, then train. Returns the exit code."""
    from gr00t_policy.data.fitting import open_alike

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            f"recipe '{config.recipe}' makes its data itself and runs in one process; start it without accelerate, or take "
            "pretrain, posttrain, finetune or diffusion_policy, which run in several"
        )
    if config.initial is not None:  # refused before data are made, which takes hours
        from gr00t_policy.training.train import refuse_published

        refuse_published(config.initial)
    if config.datasets:  # refused before still scenes are made, which takes minutes
        open_alike(load_embodiment(TrainConfig.embodiment), config.datasets)
    recipe = RECIPES[config.recipe]
    out = config.out or Path("out/train") / config.recipe
    first = recipe.rounds[0]
    if config.initial is not None or config.datasets:  # own data or own start: one round
        datasets = config.datasets or tuple(_episodes(config, first, 0, None))
        stages = {name: stage for name, stage in first.stages.items() if config.initial is None or name != "find"}
        return _train(config, datasets, stages, out, config.initial)
    made: list[Path] = []
    policy: Path | None = None
    for number, each in enumerate(recipe.rounds):
        made += _episodes(config, each, number, policy)
        folder = out if each is recipe.rounds[-1] else out / f"round_{number + 1}"
        code = _train(config, tuple(made), each.stages, folder, policy)
        if code != 0:
            return code
        policy = folder / "checkpoint"
    return 0


def _train(
    config: TrainVerbConfig,
    datasets: tuple[Path, ...],
    stages: dict[str, StageConfig],
    out: Path,
    initial: Path | None = None,
) -> int:
    from gr00t_policy.training import train

    return train.run(
        TrainConfig(
            datasets=datasets,
            out=out,
            scenes=_scenes(config, RECIPES[config.recipe]),
            mixed_precision=config.bf16,
            new_words=config.new_words and initial is not None,
            stages={name: scaled(stage, config.budget, config.rate) for name, stage in stages.items()},
            initial=initial,
            threads=config.threads,
            device=config.device,
            seed=config.seed,
            accumulate=config.accumulate,
            save_every=config.save_every,
            log_every=config.log_every,
            tensorboard=config.tensorboard,
            checkpoint_every=config.checkpoint_every,
            keep=config.keep,
        )
    )


def _episodes(config: TrainVerbConfig, one: Round, number: int, policy: Path | None) -> list[Path]:
    from gr00t_sim import generate
    from gr00t_sim.checkpoint_policy import read_checkpoint
    from gr00t_sim.tasks.registry import tasks_named

    # Takeovers begin in one policy's own mistakes, so another policy's are not taken for them.
    driven_by = "" if policy is None else read_checkpoint(policy).hash
    folders = []
    for task, episodes in ((task, count) for name, count in one.episodes.items() for task in tasks_named(name)):
        name = f"{task}_{episodes}" if policy is None else f"{task}_round_{number + 1}_{driven_by[:12]}"
        folders.append(config.data / name)
        generate.run(
            generate.GenerateConfig(
                task=task,
                episodes=episodes,
                seed=number * _SEEDS_PER_ROUND,
                out=folders[-1],
                workers=config.workers,
                policy=policy,
            )
        )
    return folders


def _check_loop_options(config: TrainVerbConfig) -> None:
    """Raises ConfigError, before data are made, for what the loop would refuse after that."""
    stages = {name: stage for one in RECIPES[config.recipe].rounds for name, stage in one.stages.items()}
    LoopConfig(
        out=Path(),
        stages=stages,
        accumulate=config.accumulate,
        save_every=config.save_every,
        log_every=config.log_every,
        seed=config.seed,
    )
    for name, stage in stages.items():
        counts = (stage.images_per_step, stage.looks_per_step, stage.scenes_per_step)
        if any(count % config.accumulate for count in counts):
            raise ConfigError(
                f"accumulate is {config.accumulate}, but stage '{name}' of recipe '{config.recipe}' takes "
                f"{', '.join(str(count) for count in counts if count)} pictures a step, which cannot be cut into so many parts"
            )


def scaled(stage: StageConfig, budget: float, rate: float = 1.0) -> StageConfig:
    """The stage with a share of its steps, at least one, and of its learning rate."""
    steps = max(1, round(stage.steps * budget))
    return replace(
        stage, steps=steps, warmup_steps=min(stage.warmup_steps, steps), learning_rate=stage.learning_rate * rate
    )


def _scenes(config: TrainVerbConfig, recipe: Recipe) -> Path | None:
    from gr00t_sim import scenes

    if recipe.scenes == 0:
        return None
    folder = config.data / f"scenes_{recipe.suite}_{recipe.scenes}"
    scenes.run(scenes.ScenesConfig(scenes=recipe.scenes, suite=recipe.suite, out=folder, workers=config.workers))
    return folder
