# SPDX-License-Identifier: Apache-2.0
"""Base of every node of the suite and the main function that runs one.

A node says what to do in ``configure``, ``activate``, ``deactivate`` and ``cleanup``; this file turns errors into one
clear log line and a failed transition, starts the node by itself when the parameter ``autostart`` is true, and ends
the process cleanly on SIGINT and SIGTERM (exit code 0), on a failed start (1), a broken callback (1) or wrong
parameters (2). It is the one place where every exception is caught.
"""

import signal
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any, Generic, Protocol, TypeVar

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rclpy.task import Future
from rclpy.timer import Timer

from gr00t_policy.core.errors import Gr00tError
from gr00t_policy.ros.lasting_actions import Execute, LastingActions
from gr00t_policy.ros.parameters import declare_settings, guard_changes, read_settings
from gr00t_policy.ros.transition_service import refuse_impossible_transitions
from gr00t_policy.ros.transport import init_ros

Settings = TypeVar("Settings")
Made = TypeVar("Made")

# The events executor of the Jazzy wheels spins at 100 % and delivers nothing when it may wait for ever.
_LONGEST_SPIN_S = 3600.0
_LOOK_S = 0.1
_LAST_RESULTS_S = 1.0
_SUCCESS, _FAILURE, _ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


class StoppableThread(Protocol):
    """A thread of a node. ``stop`` asks it to end, waits a while, and says whether it has."""

    name: str

    @property
    def is_alive(self) -> bool: ...

    def stop(self) -> bool: ...


class SuiteNode(LifecycleNode, Generic[Settings]):
    """A lifecycle node whose parameters are the dataclass ``settings_type``.

    Subclasses override the four hooks. A hook may raise: a Gr00tError is the user's to fix and is logged as one line,
    anything else is ours and is logged with its traceback. ``deactivate`` and ``cleanup`` must also work half-way. What
    the ``keep`` methods made in ``configure`` is destroyed at cleanup, newest first.
    """

    def __init__(self, name: str, settings_type: type[Settings], **options: Any) -> None:
        """options: of rclpy's Node, e.g. parameter_overrides and namespace. Raises ConfigError on wrong parameters."""
        super().__init__(name, automatically_declare_parameters_from_overrides=True, **options)
        self._settings_type = settings_type
        self._is_configured = False
        self._is_active = False
        self._is_stopped = False
        self._undo: list[Callable[[], object]] = []
        self._generation = 0  # counts cleanups
        self._actions = LastingActions(self)
        self._late_threads: list[StoppableThread] = []  # were to stop, and had not when we last looked
        self.steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        refuse_impossible_transitions(self)
        try:
            declare_settings(self, settings_type)
        except Gr00tError:
            self.destroy_node()
            raise
        guard_changes(self, settings_type, lambda: self._is_configured)

    def declare_parameters(
        self, namespace: str, parameters: Sequence[tuple[Any, ...]], ignore_override: bool = False
    ) -> list[Parameter]:
        """As rclpy's, and an empty list too, which ROS gives without a type and rclpy refuses without the parameter's name."""
        typed = [
            (one[0], one[1], ParameterDescriptor(dynamic_typing=True)) if len(one) > 1 and one[1] is None else one
            for one in parameters
        ]
        return super().declare_parameters(namespace, typed, ignore_override)

    @property
    def settings(self) -> Settings:
        """The parameters as they are now."""
        return read_settings(self, self._settings_type)

    @property
    def is_active(self) -> bool:
        return self._is_active

    @property
    def now_ns(self) -> int:
        """ROS time, which stamps messages. Never use it for pacing or timeouts of our own."""
        return self.get_clock().now().nanoseconds

    def create_steady_timer(self, period_s: float, callback: Callable[[], None]) -> Timer:
        """A timer that a jump of the ROS clock does not touch."""
        return self.create_timer(period_s, callback, clock=self.steady_clock)

    def keep(self, destroy: Callable[[Any], object], made: Made) -> Made:
        """Remember to ``destroy`` at cleanup what was ``made``."""
        self._undo.append(partial(destroy, made))
        return made

    def keep_publisher(self, kind: type, topic: str, profile: QoSProfile) -> Publisher:
        return self.keep(self.destroy_publisher, self.create_publisher(kind, topic, profile))

    def keep_subscription(
        self, kind: type, topic: str, callback: Callable[[Any], None], profile: QoSProfile, **options: Any
    ) -> Subscription:
        """A message that was waiting when its subscription was destroyed comes all the same; ``callback`` never sees it."""
        kept = self._generation

        def while_kept(message: Any) -> None:
            if self._generation == kept:
                callback(message)

        return self.keep(
            self.destroy_subscription, self.create_subscription(kind, topic, while_kept, profile, **options)
        )

    def keep_action_server(self, kind: type, name: str, execute: Execute) -> None:
        """Goals are executed until cleanup, which must end those that run; their results still go out afterwards."""
        self._actions.serve(kind, name, execute)
        self._undo.append(partial(self._actions.close, name))

    def keep_timer(self, period_s: float, callback: Callable[[], None]) -> Timer:
        """Silent after cleanup, as a subscription is."""
        kept = self._generation

        def while_kept() -> None:
            if self._generation == kept:
                callback()

        return self.keep(self.destroy_timer, self.create_steady_timer(period_s, while_kept))

    def stop_thread(self, thread: StoppableThread) -> None:
        """Stop a thread of this node. Until one that takes long has ended, transitions that would run another beside it, or take
        away what it uses, are refused."""
        if not thread.stop():
            self._late_threads.append(thread)
            self.get_logger().warning(f"the thread '{thread.name}' goes on with what it was doing; that is its last")

    def configure(self, settings: Settings) -> None:
        """Load, validate, warm up, create publishers and subscriptions. Nothing moves yet."""

    def activate(self) -> None:
        """Start output."""

    def deactivate(self) -> None:
        """Stop output first, then the rest. Must also work when ``activate`` failed."""

    def cleanup(self) -> None:
        """Give back what ``configure`` took and did not keep. Must also work when ``configure`` failed."""

    def start(self, is_asked_to_stop: Callable[[], bool] = lambda: False) -> bool:
        """Configure and activate; False when one of them failed (the log says why). Configuring may take minutes: a node that was
        asked to stop meanwhile is not activated."""
        if self.trigger_configure() != _SUCCESS:
            return False
        return is_asked_to_stop() or self.trigger_activate() == _SUCCESS

    def stop(self) -> None:
        """To the end of the life cycle from any state, once, also when an operator has brought it there: output stops first."""
        if not self._is_stopped:
            self.trigger_shutdown()

    def send_last_results(self, executor: Executor) -> None:
        """After ``stop``: goals that ended by it are answered, for at most a second."""
        is_busy, deadline_s = self._actions.is_busy, time.monotonic() + _LAST_RESULTS_S
        while self._actions.is_busy and time.monotonic() < deadline_s:
            spin_for(executor, _LOOK_S)
        if is_busy:
            spin_for(executor, _LOOK_S)  # the result is there; now it is sent

    def destroy_node(self) -> None:
        self._actions.destroy()
        super().destroy_node()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._step("configure", self._configure_anew, undo=self._clean, configured=True)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._step("activate", self.activate, undo=self.deactivate, active=True)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._step("deactivate", self.deactivate, undo=None, active=False)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._step("clean up", self._clean, undo=None, configured=False)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._is_stopped = True
        self._down()
        return _SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a fault of ours: everything is taken down and the node is unconfigured again."""
        self._down()
        return _SUCCESS

    def _has_late_threads(self) -> bool:
        self._late_threads = [thread for thread in self._late_threads if thread.is_alive]
        return bool(self._late_threads)

    def _step(
        self,
        name: str,
        hook: Callable[[], None],
        undo: Callable[[], None] | None,
        configured: bool | None = None,
        active: bool | None = None,
    ) -> TransitionCallbackReturn:
        if name != "deactivate" and self._has_late_threads():
            names = ", ".join(thread.name for thread in self._late_threads)
            self.get_logger().error(f"cannot {name}: a thread that was stopped has not ended yet ({names}); try again")
            return _FAILURE
        try:
            hook()
        except Gr00tError as error:
            self.get_logger().error(f"cannot {name}: {error}")
            if undo is not None:
                undo()
            return _FAILURE
        except Exception:
            self.get_logger().error(f"fault while trying to {name}:\n{traceback.format_exc()}")
            return _ERROR
        self._is_configured = self._is_configured if configured is None else configured
        self._is_active = self._is_active if active is None else active
        return _SUCCESS

    def _configure_anew(self) -> None:
        if self._undo:  # kept for a thread that has ended since
            self._clean()
        self.configure(self.settings)

    def _clean(self) -> None:
        self._generation += 1
        while self._undo:
            self._undo.pop()()
        self.cleanup()

    def _down(self) -> None:
        for hook in (self.deactivate, self._clean):
            if hook == self._clean and self._has_late_threads():
                break  # it uses what would be taken away; the end of the process, or the next configure, comes after it
            try:
                hook()
            except Exception:
                self.get_logger().error(f"fault while stopping:\n{traceback.format_exc()}")
        self._is_active = self._is_configured = False


def run(make_node: Callable[[], SuiteNode], args: Sequence[str] | None = None) -> int:
    """Run one node until a signal asks to stop. Returns the exit code of the process."""
    init_ros(args=args)
    asked_to_stop = catch_signals()
    try:
        node = make_node()
    except Gr00tError as error:
        get_logger("start").fatal(str(error))
        rclpy.try_shutdown()
        return 2
    executor = make_executor()
    executor.add_node(node)
    try:
        if _wants_autostart(node) and not node.start(asked_to_stop):
            return 1
        _spin_until(asked_to_stop, node, executor)
        return 0
    except Exception:
        node.get_logger().fatal(f"fault in a callback, the node stops:\n{traceback.format_exc()}")
        return 1
    finally:
        node.stop()
        node.send_last_results(executor)
        executor.remove_node(node)
        node.destroy_node()
        rclpy.try_shutdown()


def make_executor() -> Executor:
    """The events executor where this rclpy has it (a third of the load), else the single-threaded one."""
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def spin_for(executor: Executor, seconds: float) -> None:
    """Run callbacks for about this long: the only form that all executors of Jazzy do right."""
    executor.spin_until_future_complete(Future(), timeout_sec=seconds)


def _spin_until(asked: Callable[[], bool], node: SuiteNode, executor: Executor) -> None:
    """Run callbacks until ``asked``, which a timer looks at: each call of the events executor leaves 32 bytes behind for good
    (rclpy 7.1), half a megabyte an hour at five a second, so there are few.
    """
    stop = Future()

    def look() -> None:
        if asked() and not stop.done():
            stop.set_result(None)

    timer = node.create_steady_timer(_LOOK_S, look)
    while not stop.done():
        executor.spin_until_future_complete(stop, timeout_sec=_LONGEST_SPIN_S)
    node.destroy_timer(timer)


def catch_signals() -> Callable[[], bool]:
    """From now on SIGINT and SIGTERM are only remembered; gives the question whether one came."""
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, remember)
    return lambda: bool(received)


def _wants_autostart(node: SuiteNode) -> bool:
    return node.has_parameter("autostart") and bool(node.get_parameter("autostart").value)
