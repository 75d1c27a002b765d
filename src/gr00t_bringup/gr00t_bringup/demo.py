# SPDX-License-Identifier: Apache-2.0
"""``gr00t demo``: the whole stack obeys one sentence, is watched while it does, and leaves film, bag and summary."""

import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from gr00t_bringup.fresh_folder import fresh_folder
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import ProcessMemory, memory_of, this_machine
from gr00t_bringup.measure import RunFigures, measure, read_streams
from gr00t_bringup.status import StackStatus, live_display
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.bag import BagWriter
from gr00t_sim.looks import looks_named

if TYPE_CHECKING:
    from gr00t_bringup.ros.stack import StackOptions

_DISPLAY_PERIOD_S = 0.25
_HEARD_S = 5.0
_TASK, _SAY = "pick_named_object", "pick up the red can and place it in the blue bin"


@dataclass(frozen=True)
class DemoConfig:
    """Options of the demo. Exit code 0 only when the simulator's referee says the task is solved."""

    say: str | None = None
    """the sentence the robot is to obey; empty: the scene's own (default: 'pick up the red can and place it in the blue
    bin', or the scene's own of another task)"""
    task: str | None = None
    """the scene: a task of the simulator (default: the one that --say is about, pick_named_object without --say)"""
    seed: int = 10000
    """seed of the scene: same task and seed, same scene; the shipped checkpoint never saw those from 10000 up"""
    looks: str | None = None
    """how pictures vary with the seed: none, mild or strong; default: as the parameter files say"""
    duration_s: float = 60.0
    """give up after this time"""
    settle_s: float = 1.5
    """keep running after success, so that the film shows it"""
    viewer: bool = False
    """show the simulation in a window while it runs"""
    out: Path = Path("out/demo")
    """folder for video.mp4, bag/, summary.json and logs/"""
    json: Path | None = None
    """write the summary here too"""
    checkpoint: Path | None = None
    """checkpoint folder; default: that of --params-file, else the one shipped in models/"""
    tokenizer: Path | None = None
    """folder of the tokenizer, for a released checkpoint that has none"""
    params_file: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = ()
    """further ROS parameter files, later ones win; may be given several times"""
    namespace: str = ""
    """ROS namespace of all nodes"""
    log_level: str = "info"
    """ROS log level of the nodes"""


def run(config: DemoConfig) -> int:
    """Run the demo; 0 when the task was solved, 1 when not. Raises Gr00tError."""
    if config.viewer and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError("--viewer needs a display, and neither DISPLAY nor WAYLAND_DISPLAY is set; run without it")
    if config.looks is not None:
        looks_named(config.looks)
    task = task_for_demo(config.task, config.say)  # what is refused must not cost an earlier demo's film
    wish = sentence_for(task, config.say)
    bag = fresh_folder(config.out, ("bag", "logs", "video.mp4", "summary.json")) / "bag"
    print(f"starting the nodes (logs in {config.out / 'logs'}) ...", flush=True)
    began_ns, sentence, status, memory = _drive(config, task, wish, bag)
    print("measuring the run and making the film ...", flush=True)
    summary = summary_of(sentence, config.seed, status.success, measure(read_streams(bag, config.namespace)))
    try:
        _film(config, bag, began_ns)
    finally:  # what was measured outlives a film that fails
        memory |= memory_of({"gr00t demo": os.getpid()})
        summary["memory_mb"] = {name: asdict(each) for name, each in memory.items()}
        for file in (config.out / "summary.json", *([config.json] if config.json else [])):
            write_json(file, summary)
    print(f"peak memory {sum(each.peak_mb for each in memory.values()):.0f} MB: all processes, the film included")
    print(f"{'SOLVED' if status.success else 'NOT SOLVED'}: {status.task_detail}")
    print(f"{config.out}/video.mp4  {config.out}/bag/  {config.out}/summary.json")
    return 0 if status.success else 1


def summary_of(sentence: str, seed: int, success: bool, figures: RunFigures) -> dict[str, Any]:
    """The summary as plain data; ``gr00t bench loop`` uses the same keys."""
    return {
        "success": success,
        "sentence": sentence,
        "seed": seed,
        **asdict(figures),
        "machine": asdict(this_machine()),
    }


def task_for_demo(task: str | None, said: str | None) -> str:
    """The task asked for, or the one that ``said`` is about. Raises TaskError when no task understands it."""
    from gr00t_sim.tasks.by_sentence import task_for

    if task is not None:
        return task
    return task_for(said) if said is not None and said.strip() else _TASK


def sentence_for(task: str, said: str | None) -> str:
    """What to ask the simulator for, '' = the scene's own sentence. Raises TaskError when the task cannot tell what is asked."""
    from gr00t_sim.tasks.registry import make_task

    if said is None:
        said = _SAY if task == _TASK else ""
    referee = make_task(task)
    if said.strip():
        referee.parse(said)
    return said


def _drive(
    config: DemoConfig, task: str, wish: str, bag: Path
) -> tuple[int, str, StackStatus, dict[str, ProcessMemory]]:
    """Bring the stack up, say the sentence, watch.

    Returns when it was said [ns, system clock], what, the last status, and the memory of each process.
    """
    from gr00t_bringup.ros.stack import running_stack

    with running_stack(stack_options(config, task), config.out / "logs", BagWriter(bag)) as stack:
        stack.wait_active()
        if config.viewer:
            stack.open_viewer()
        sentence = stack.client.reset_simulation(task, config.seed, wish)
        stack.client.wait_listeners(["planner", "bag_recorder"], _HEARD_S)
        began_ns, began_s = time.time_ns(), time.monotonic()
        stack.client.say(sentence)
        solved_s, status = math.inf, StackStatus()
        with live_display(f"gr00t demo, seed {config.seed}") as display:
            while time.monotonic() - began_s < config.duration_s:
                time.sleep(_DISPLAY_PERIOD_S)
                stack.processes.check()
                status = stack.status()
                display(status)
                if status.success:
                    solved_s = min(solved_s, time.monotonic())
                if time.monotonic() - solved_s > config.settle_s:
                    break
        return began_ns, sentence, status, memory_of(stack.processes.pids)


def stack_options(config: DemoConfig, task: str) -> "StackOptions":
    """The nodes of a demo and their parameters."""
    from gr00t_bringup.ros.stack import StackOptions

    return StackOptions(
        namespace=config.namespace,
        checkpoint=config.checkpoint,
        tokenizer=config.tokenizer,
        parameter_files=config.params_file,
        overrides={"sim": _scene(config, task)},
        log_level=config.log_level,
    )


def _scene(config: DemoConfig, task: str) -> dict[str, Any]:
    """Parameters of the simulator that the options decide."""
    chosen = {"task": task, "seed": config.seed}
    return chosen if config.looks is None else {**chosen, "looks": config.looks}


def _film(config: DemoConfig, bag: Path, began_ns: int) -> None:
    from gr00t_bringup.run_film import film_run

    film_run(bag, config.out / "video.mp4", began_ns, config.namespace)
