# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench operator``: how often a scripted person with a headset does a task, over the whole real way.

A program in a headset's place moves a made-up person and sends what a headset would see of them, to the operator node's
own HTTPS page with its pairing code. From there on everything is what it is with a human: operator, retargeter, command
gate and simulator as processes over DDS. Nothing is welded, and nobody but the gate commands the robot.
"""

import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gr00t_bringup.fresh_folder import fresh_folder
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import this_machine
from gr00t_bringup.nodes import NODES
from gr00t_policy.core.errors import ConfigError
from gr00t_sim.evaluation.seeds import require_trainable

if TYPE_CHECKING:
    from gr00t_bringup.ros.stack import StackOptions

_NODES: tuple[str, ...] = ("sim", "command_gate", "operator", "retargeter")
_WATCHED = ("sim/qpos", "sim/task_state", "command_gate/state", "teleop/state", "recorder/state")
_NAME = "scripted operator"  # noted in the recordings
_START_S, _HEARD_S = 60.0, 10.0


@dataclass(frozen=True)
class OperatorBenchConfig:
    """Exit code 0 when at least four of five scenes were solved."""

    task: str = "pick_named_object"
    """a task that brings one thing to one place"""
    scenes: int = 20
    """how many"""
    seed: int = 10000
    """seed of the first scene; each further scene takes the next"""
    limit_s: float = 60.0
    """time for a scene"""
    films: int = 1
    """film so many scenes from the first on, and every scene that was not solved"""
    record: Path | None = None
    """record every scene as an episode into this folder, by the recorder node, with the head camera's pictures; not of
    scenes 10000 to 10099, which are for evaluation"""
    out: Path = Path("out/bench_operator")
    """folder for films, logs and the certificate"""
    namespace: str = ""
    """ROS namespace of all nodes"""
    json: Path | None = None
    """write the results here"""

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.limit_s < 10 or self.films < 0:
            raise ConfigError(
                f"scenes must be at least 1, limit_s 10 and films 0; got {self.scenes}, {self.limit_s} and {self.films}"
            )
        if self.record is not None:
            require_trainable(self.seed, self.scenes)


GOOD_SHARE = 0.8


def run(config: OperatorBenchConfig) -> int:
    """Drive, print, film; 0 when at least ``GOOD_SHARE`` of the scenes were solved, 1 when not. Raises Gr00tError."""
    from gr00t_sim.interval import wilson95

    fresh_folder(config.out, ("logs", "films"))
    scenes = _drive(config)
    solved = sum(scene["solved"] for scene in scenes)
    low, high = wilson95(solved, len(scenes))
    print(f"{solved} of {len(scenes)} scenes solved, {100 * low:.0f} to {100 * high:.0f} % with 95 % confidence")
    if config.json is not None:
        result = {"task": config.task, "solved": solved, "scenes": scenes, "interval95": [low, high]}
        write_json(config.json, {**result, "machine": asdict(this_machine())})
    return 0 if solved >= GOOD_SHARE * len(scenes) else 1


def _drive(config: OperatorBenchConfig) -> list[dict[str, Any]]:
    """Bring the nodes up, lay the scenes out one after the other, drive; one plain record each."""
    from gr00t_bringup.ros.episode_client import EpisodeClient
    from gr00t_bringup.ros.stack import running_stack
    from gr00t_bringup.ros.stand_in_session import Driven, StandInSession
    from gr00t_bringup.stand_in.eyes import Eyes
    from gr00t_bringup.stand_in.film import film_scene
    from gr00t_teleop.devices.webxr_client import WebXrClient

    def scene(seed: int) -> tuple[str, Driven]:
        sentence = stack.client.reset_simulation(config.task, seed, "")
        if config.record is None:
            return sentence, session.drive(seed, sentence, config.limit_s)
        stack.client.wait_listeners(["recorder"], _HEARD_S)
        episodes.begin(sentence, _NAME, 0.0)
        stack.client.say(sentence)
        driven = session.drive(seed, sentence, config.limit_s)
        bag = episodes.end("success" if driven.solved else "failure")
        print(f"  {seed}  recorded {bag}", flush=True)
        return sentence, driven

    eyes = Eyes(config.task)
    port, code = _free_port(), f"{secrets.randbelow(10**6):06d}"
    certificate = (config.out / "certificate" / "certificate.pem").absolute()
    results: list[dict[str, Any]] = []
    print(f"starting the nodes (logs in {config.out / 'logs'}) ...", flush=True)
    with running_stack(_options(config, port, code, certificate.parent), config.out / "logs") as stack:
        stack.wait_active()
        session = StandInSession(stack, eyes, lambda: WebXrClient(f"https://localhost:{port}", code, certificate))
        episodes = EpisodeClient(stack.client, lambda: stack.recorder.newest("recorder/state"))
        for seed in range(config.seed, config.seed + config.scenes):
            sentence, driven = scene(seed)
            results.append({"seed": seed, "sentence": sentence, **driven.figures()})
            word = "solved" if driven.solved else f"NOT SOLVED: {driven.reason}"
            print(f"  {seed}  {driven.seconds:4.0f} s, {driven.grasps} grasp(s)  {word}", flush=True)
            if seed - config.seed < config.films or not driven.solved:
                video = config.out / "films" / f"{config.task}_{seed}.mp4"
                film_scene(video, config.task, seed, sentence, driven.glances)
                print(f"  {seed}  {video}", flush=True)
    return results


def _options(config: OperatorBenchConfig, port: int, code: str, certificates: Path) -> "StackOptions":
    from gr00t_bringup.ros.stack import StackOptions

    names = _NODES
    overrides: dict[str, dict[str, object]] = {
        "sim": {"task": config.task, "seed": config.seed, "publish_camera": config.record is not None},
        "command_gate": {"default_source": "teleop"},
        "operator": {
            "device": "webxr",
            "port": port,
            "pairing_code": code,
            "certificate_folder": str(certificates),
        },
    }
    if config.record is not None:
        names = (*names, "recorder")
        overrides["recorder"] = {"folder": str(config.record.absolute())}
    return StackOptions(
        namespace=config.namespace,
        nodes=tuple(node for node in NODES if node.name in names),
        watched=_WATCHED,
        overrides=overrides,
        start_timeout_s=_START_S,
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
