# SPDX-License-Identifier: Apache-2.0
"""Nodes as processes with a client and a recorder beside them: what demo, teleoperation, benchmarks and system tests run on."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import rclpy.utilities
from rclpy.context import Context

from gr00t_bringup.given_parameters import checkpoint_to_give, refuse_contradictions
from gr00t_bringup.nodes import NodeSpec, nodes_for, overrides, parameter_files
from gr00t_bringup.processes import ProcessGroup, StopPatience, node_command
from gr00t_bringup.ros.recorder import TopicRecorder
from gr00t_bringup.ros.stack_client import StackClient
from gr00t_bringup.ros.states import TOPICS, stack_status
from gr00t_bringup.status import StackStatus
from gr00t_policy.data.bag import BagWriter
from gr00t_policy.ros.transport import init_ros

_LOOK_S = 0.7  # participants that are there answer a new one within some 0.1 s


@dataclass(frozen=True)
class StackOptions:
    """How to start the nodes.

    checkpoint: none: that of ``parameter_files``, else the shipped one, for the nodes that load one.
    tokenizer: folder of that of a released checkpoint that has none. overrides: node name -> parameters that win over
    every file. nodes: which; none: those of the back end. watched: topics whose newest message is kept when there is no
    bag, by their relative names; none: all. terminals: node name -> file descriptor that is its standard input.
    """

    robot: str = "gr1"
    backend: str = "mujoco"
    namespace: str = ""
    checkpoint: Path | None = None
    tokenizer: Path | None = None
    parameter_files: tuple[Path, ...] = ()
    overrides: dict[str, dict[str, object]] = field(default_factory=dict)
    use_sim_time: bool = False
    log_level: str = "info"
    start_timeout_s: float = 180.0  # the first start compiles the network
    nodes: tuple[NodeSpec, ...] = ()
    watched: tuple[str, ...] = ()
    terminals: dict[str, int] = field(default_factory=dict)
    patience: StopPatience = field(default_factory=StopPatience)

    @property
    def started(self) -> tuple[NodeSpec, ...]:
        """The nodes that are started, in this order."""
        return self.nodes or nodes_for(self.backend)


class RunningStack:
    """Handles to what runs. ``recorder`` keeps the newest message of every topic, and the bag if there is one."""

    def __init__(
        self, options: StackOptions, processes: ProcessGroup, client: StackClient, recorder: TopicRecorder
    ) -> None:
        self.options = options
        self.processes = processes
        self.client = client
        self.recorder = recorder
        self._has_started = False

    def start(self, node: NodeSpec) -> None:
        """Start a node again after it died."""
        _start(self.options, self.processes, node)

    def open_viewer(self) -> None:
        """Show the simulation in a window; it may be closed at any time."""
        command = [sys.executable, "-m", "gr00t_bringup.ros.viewer", "--ros-args", "-r"]
        command.append(f"__ns:=/{self.options.namespace.strip('/')}")
        self.processes.start("viewer", command, {"MUJOCO_GL": "glfw"}, essential=False)

    def wait_active(self) -> None:
        """Return when every node is active. Raises ProcessDiedError, and NotReadyError also for a stack that began beside us."""
        names = [node.name for node in self.options.started]
        self.client.wait_active(names, self.options.start_timeout_s)
        if not self._has_started:  # a node that is started again may find its dead predecessor, for 20 s
            self.client.refuse_company(names, 1)
        self._has_started = True

    def status(self) -> StackStatus:
        """What the nodes last said of themselves."""
        return stack_status(*(self.recorder.newest(topic) for topic in TOPICS))


@contextmanager
def running_stack(options: StackOptions, log_folder: Path, bag: BagWriter | None = None) -> Iterator[RunningStack]:
    """Start all nodes of the back end; on leaving, stop them and close the bag, whatever happened.

    Raises NotReadyError before anything is started where another stack drives on this domain and namespace.
    """
    with ExitStack() as cleanup:
        if bag is not None:
            cleanup.callback(bag.close)
        _refuse_company(options)
        processes = cleanup.enter_context(ProcessGroup(log_folder, options.patience))
        for node in options.started:
            _start(options, processes, node)
        context = Context()
        init_ros(context)
        cleanup.callback(rclpy.utilities.try_shutdown, context=context)
        recorder = TopicRecorder(context, bag, options.namespace, options.watched)
        cleanup.callback(recorder.close)
        client = StackClient(context, processes.check, options.namespace)
        cleanup.callback(client.close)
        yield RunningStack(options, processes, client, recorder)


def _refuse_company(options: StackOptions) -> None:
    context = Context()
    init_ros(context)
    client = StackClient(context, lambda: None, options.namespace)
    try:
        client.refuse_company([node.name for node in options.started], 0, _LOOK_S)
    finally:
        client.close()
        rclpy.utilities.try_shutdown(context=context)


def command_of(options: StackOptions, node: NodeSpec) -> list[str]:
    """The command line that starts one node. Raises ConfigError for a robot without parameter files, no checkpoint named and none
    shipped, and files of the user that contradict what the start decides."""
    mine, namespace = options.parameter_files, options.namespace
    files = [*parameter_files(options.robot, options.backend, node.name), *mine]
    decided = overrides(
        node,
        autostart=True,
        use_sim_time=options.use_sim_time,
        checkpoint=checkpoint_to_give(options.started, mine, namespace, options.checkpoint),
        tokenizer="" if options.tokenizer is None else str(options.tokenizer),
    )
    refuse_contradictions(node, mine, namespace, decided)
    decided |= options.overrides.get(node.name, {})
    return node_command(node, files, decided, namespace, log_level=options.log_level)


def _start(options: StackOptions, processes: ProcessGroup, node: NodeSpec) -> None:
    processes.start(node.name, command_of(options, node), terminal=options.terminals.get(node.name))
