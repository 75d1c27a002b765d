# SPDX-License-Identifier: Apache-2.0
"""``gr00t teleop``: a person drives the simulated robot and records episodes, also as corrections of a policy, in one command."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
import yaml

from gr00t_bringup.fresh_folder import fresh_folder
from gr00t_bringup.node_talk import NodeTalk
from gr00t_bringup.nodes import RECORD, TELEOP, nodes_for
from gr00t_bringup.processes import StopPatience
from gr00t_bringup.status import live_table
from gr00t_bringup.teleop_status import line, rows
from gr00t_bringup.terminal_keys import PassedKeys, TerminalKeys
from gr00t_policy.core.errors import ConfigError
from gr00t_sim.evaluation.seeds import require_trainable
from gr00t_teleop.devices.config import DEVICES, OperatorConfig

if TYPE_CHECKING:
    from gr00t_bringup.ros.stack import RunningStack, StackOptions
    from gr00t_bringup.ros.teleop_session import TeleopSession

_PERIOD_S = 0.25
_ALSO = {"visionpro": "vision_pro"}  # what people type as well
_READS_KEYS = "keyboard"  # the device that is the terminal itself
_REPLAYS = "replay"  # the device that begins with each scene
_REQUESTS = {
    "s": ("start_episode", "start an episode"),
    "e": ("end_episode", "end it"),
    "k": ("keep", "keep it"),
    "f": ("keep_as_failure", "keep it as a failure"),
    "d": ("discard", "discard it, same scene again"),
    "n": ("next_scene", "next scene"),
    "t": ("take_over", "take over"),
    "p": ("hand_back", "hand back to the policy"),
    "c": ("calibrate", "calibrate the arm span"),
    "x": ("stop", "STOP"),
    "r": ("reset", "release a stop"),
}


@dataclass(frozen=True)
class TeleopConfig:
    """Starts simulator, device, retargeter, gate and recorder, with --checkpoint also the policy. Exit code 0 when all
    --episodes were kept, or none were asked for. Keys: s start an episode, e end, k keep, f keep as a failure, d discard and
    the same scene again, n next scene, t take over from the policy, p hand back to it, c calibrate the arm span, x stop,
    r release a stop, q quit; with --device keyboard in capitals, since small letters move the hand."""

    device: Annotated[str, tyro.conf.arg(help=f"what the person holds or wears: {', '.join(DEVICES)}")] = DEVICES[0]
    """what the person holds or wears"""
    device_options: tuple[str, ...] = ()
    """options of the device, NAME=VALUE ..., e.g. host=0.0.0.0 port=8443; all are in docs/interfaces.md, `operator`"""
    task: str = "pick_named_object"
    """the scene: a task of the simulator"""
    say: str = ""
    """what the robot is to be shown, and the policy asked for; empty: each scene's own sentence"""
    seed: int = 0
    """seed of the first scene; each kept episode takes the next, also in a second run into the same folder. 10000 to 10099 are
    for evaluation: passed over, or, where the first is one of them, driven and not recorded (not with --episodes, --headless)"""
    looks: str = "none"
    """how pictures vary with the seed: none, mild or strong"""
    episodes: int = 0
    """end after so many kept episodes; 0: when you quit"""
    out: Path = Path("out/teleop")
    """folder for episode_0001/ and on, discarded/ and logs/; kept ones become a dataset by `gr00t data convert`"""
    operator_name: str = ""
    """who drives; stored with each episode"""
    checkpoint: Path | None = None
    """a policy that drives first, and that you take over from and hand back to; default: none, you drive"""
    tokenizer: Path | None = None
    """folder of the tokenizer, for a released checkpoint that has none"""
    clutch_takes_over: bool = False
    """closing the clutch takes over from the policy, as the key t does: for a person who wears a headset alone"""
    headless: bool = False
    """no keys and no table, also where there is a terminal: episodes by the recorder's services (docs/recording.md)"""
    viewer: bool = False
    """show the simulation in a window"""
    params_file: Annotated[tuple[Path, ...], tyro.conf.UseAppendAction] = ()
    """further ROS parameter files, later ones win; may be given several times"""
    namespace: str = ""
    """ROS namespace of all nodes"""
    log_level: str = "info"
    """ROS log level of the nodes"""

    def __post_init__(self) -> None:
        if self.episodes < 0 or self.seed < 0:
            raise ConfigError(f"episodes and seed must not be negative, got {self.episodes} and {self.seed}")
        if self.clutch_takes_over and self.checkpoint is None:
            raise ConfigError("--clutch-takes-over needs a policy to take over from; give one with --checkpoint")
        if self.episodes:
            require_trainable(self.seed, 1)


def run(config: TeleopConfig) -> int:
    """Until all episodes are kept, or the person quits. Raises Gr00tError."""
    device = device_parameters(config.device, config.device_options)  # what is refused must not start a process
    _check(config)
    fresh_folder(config.out, ("logs",))
    with ExitStack() as cleanup:
        keys = cleanup.enter_context(TerminalKeys(wanted=not config.headless))
        if not keys.there:  # episodes are then begun by services, which nobody here holds back
            require_trainable(config.seed, 1)
        passed = cleanup.enter_context(PassedKeys()) if config.device == _READS_KEYS and keys.there else None
        if config.device == _READS_KEYS and passed is None:
            raise ConfigError("the device 'keyboard' needs a terminal to read keys from, and this command has none")
        options = stack_options(config, device, {} if passed is None else {"operator": passed.terminal})
        return _drive(config, options, keys, passed)


def device_parameters(device: str, given: tuple[str, ...]) -> dict[str, object]:
    """Parameters of the node ``operator`` from NAME=VALUE. Raises ConfigError for what it does not have or does not take."""
    known = {each.name: each for each in fields(OperatorConfig) if each.name not in ("autostart", "device")}
    values: dict[str, object] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or name not in known:
            raise ConfigError(f"device option '{item}' is none; give NAME=VALUE with one of: {', '.join(known)}")
        values[name] = _typed(name, text, known[name].type)
    driver = _ALSO.get(device, device)
    if driver == _REPLAYS:
        values["replay_waits"] = True  # nobody drives while nodes start and a scene is laid out
    OperatorConfig(device=driver, **values)  # type: ignore[arg-type]  # refuses what does not fit together
    return {"device": driver, **values}


def stack_options(
    config: TeleopConfig, device: dict[str, object], terminals: dict[str, int] | None = None
) -> "StackOptions":
    """The nodes of a run and their parameters. device: of the node ``operator``."""
    from gr00t_bringup.ros.stack import StackOptions
    from gr00t_bringup.ros.teleop_states import TOPICS

    all_nodes = nodes_for("mujoco", (TELEOP, RECORD))
    nodes = tuple(node for node in all_nodes if config.checkpoint is not None or not node.loads_checkpoint)
    return StackOptions(
        namespace=config.namespace,
        checkpoint=config.checkpoint,
        tokenizer=config.tokenizer,
        parameter_files=config.params_file,
        overrides={
            "sim": {"task": config.task, "seed": config.seed, "looks": config.looks},
            "operator": device,
            "command_gate": {"default_source": ""},  # nobody drives before the scene is laid out
            "recorder": {"folder": str(config.out.absolute()), "operator_name": config.operator_name},
        },
        log_level=config.log_level,
        nodes=nodes,
        watched=TOPICS,
        terminals=terminals or {},
        patience=StopPatience(interrupt_s=max(node.close_s for node in nodes)),
    )


def _check(config: TeleopConfig) -> None:
    """Raises Gr00tError for a task, look or checkpoint that is not there."""
    from gr00t_sim.looks import looks_named
    from gr00t_sim.tasks.registry import make_task

    looks_named(config.looks)
    referee = make_task(config.task)
    if config.say.strip():
        referee.parse(config.say)
    if config.checkpoint is not None and not config.checkpoint.is_dir():
        raise ConfigError(
            f"there is no checkpoint folder {config.checkpoint}, and without one no policy to take over from"
        )


def _typed(name: str, text: str, kind: Any) -> object:
    if kind is str:
        return text
    value = yaml.safe_load(text)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(f"device option {name} must be {kind.__name__}, got '{text}'")
    return value


def _drive(config: TeleopConfig, options: "StackOptions", keys: TerminalKeys, passed: PassedKeys | None) -> int:
    from gr00t_bringup.ros.stack import running_stack
    from gr00t_bringup.ros.teleop_session import Plan, TeleopSession

    plan = Plan(
        config.task,
        config.seed,
        config.say,
        config.out.absolute(),
        config.episodes,
        has_policy=config.checkpoint is not None,
        clutch_takes_over=config.clutch_takes_over,
        replays=config.device == _REPLAYS,
    )
    logs = config.out / "logs"
    print(f"starting the nodes (logs in {logs}) ...", flush=True)
    with running_stack(options, logs) as stack:
        stack.wait_active()
        if config.viewer:
            stack.open_viewer()
        session = TeleopSession(stack, plan)
        print(session.begin(), flush=True)
        if keys.there:
            print(key_help(passed is not None), flush=True)
        _watch(stack, session, keys, passed, NodeTalk(logs / "operator.log"))
        session.release()
    kept = session.count_kept()
    print(f"{kept} episodes kept in {config.out}; make a dataset of them: gr00t data convert {config.out} --out DIR")
    return 0 if kept >= config.episodes else 1


def key_help(are_capitals: bool) -> str:
    """One line that says what each key does."""
    words = [f"{key.upper() if are_capitals else key} {what}" for key, (_, what) in _REQUESTS.items()]
    return ", ".join([*words, f"{'Q' if are_capitals else 'q'} quit"])


def _watch(
    stack: "RunningStack", session: "TeleopSession", keys: TerminalKeys, passed: PassedKeys | None, talk: NodeTalk
) -> None:
    """Show, and do what keys ask for, until the person quits or all episodes are kept."""
    from gr00t_bringup.ros.stack_client import NotReadyError

    notice, shown_s = "", 0.0
    with live_table("gr00t teleop", rows, line) as display:
        while not session.is_done:
            for key in keys.read(_PERIOD_S if passed is None else 0.02):
                if passed is not None and not key.isupper():
                    passed.press(key)
                elif key.lower() == "q":
                    return
                elif key.lower() in _REQUESTS:
                    notice = _done(getattr(session, _REQUESTS[key.lower()][0]))
            stack.processes.check()
            if time.monotonic() < shown_s:
                continue
            shown_s = time.monotonic() + _PERIOD_S
            for said in talk.news():
                print(f"operator: {said}", flush=True)
            try:
                display(session.status(notice))
            except NotReadyError as error:
                notice = f"the next scene: {error}"


def _done(request: Callable[[], str]) -> str:
    """What came of it, also when it was refused."""
    from gr00t_bringup.ros.stack_client import NotReadyError

    try:
        return request()
    except NotReadyError as error:
        return str(error)
