# SPDX-License-Identifier: Apache-2.0
"""Node ``sim``: the GR-1 at its table as if it were the robot. Logic in ``live_world.py`` and ``cameras.py``."""

import sys
import time
from array import array
from typing import Any

from gr00t_msgs.msg import TaskState
from gr00t_msgs.srv import ResetSimulation
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rosgraph_msgs.msg import Clock as ClockMsg
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray, String
from trajectory_msgs.msg import JointTrajectory

from gr00t_policy.core.embodiment import Camera, load_embodiment
from gr00t_policy.core.errors import Gr00tError, MessageError
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.joint_state_wire import JointStateWriter
from gr00t_policy.ros import qos
from gr00t_policy.ros.diagnostics import PERIOD_S, Diagnostics
from gr00t_policy.ros.lifecycle import SuiteNode, run
from gr00t_policy.ros.loop_diagnostics import loop_status
from gr00t_policy.ros.messages import rgb_to_image, stamp_from_ns
from gr00t_policy.runtime.pacing import PacedLoop, sleep_until_ns
from gr00t_policy.runtime.process_priority import lower_all_threads, raise_all_threads
from gr00t_policy.runtime.quiet_process import QuietProcess
from gr00t_sim.ros.cameras import CameraThread, Picture
from gr00t_sim.ros.config import SimConfig
from gr00t_sim.ros.conversion import command_reader, verdict_to_message, world_to_status
from gr00t_sim.ros.live_world import LiveWorld
from gr00t_sim.tasks.task import TaskError

_WARN_PERIOD_S = 1.0
_WATCH_PERIOD_S = 0.1
_OFF_PHASE = 0.005  # of a period: joint states that are so near to their phase stay there


class SimNode(SuiteNode[SimConfig]):
    """Physics and cameras run in paced threads of their own; callbacks command and reset the world between slices."""

    def __init__(self, **options: Any) -> None:
        super().__init__("sim", SimConfig, **options)
        # The simulator makes the time that others may follow by /clock, so it never follows /clock itself.
        self._system_clock = Clock(clock_type=ClockType.SYSTEM_TIME)
        self._world: LiveWorld | None = None
        self._threads: list[PacedLoop | CameraThread] = []
        self._loop: PacedLoop | None = None
        self._process = QuietProcess()
        self._slices = 0
        self._diagnostics = Diagnostics(self)

    @property
    def world(self) -> LiveWorld:
        assert self._world is not None, "configured first"
        return self._world

    @property
    def stamp_ns(self) -> int:
        """Now, by the clock that stamps everything the simulator publishes."""
        return int(self._system_clock.now().nanoseconds)

    def configure(self, settings: SimConfig) -> None:
        self._settings = settings
        self._robot = load_embodiment(settings.embodiment)
        self._world = LiveWorld(
            settings.task,
            self._robot,
            settings.seed,
            settings.sentence,
            settings.command_timeout_s,
            settings.looks,
        )
        self._writer = JointStateWriter(JointOrder(self._robot.joints))
        self._reader = command_reader(self._robot)
        self._joints = self.keep_publisher(JointState, "joint_states", qos.SENSOR)
        self._qpos = self.keep_publisher(Float64MultiArray, "sim/qpos", qos.SENSOR)
        self._time = self.keep_publisher(ClockMsg, "/clock", qos.SENSOR)
        self._task = self.keep_publisher(TaskState, "sim/task_state", qos.LATCHED)
        self._images = {
            camera.name: self.keep_publisher(Image, f"camera/{camera.name}/image_raw", qos.SENSOR)
            for camera in self._robot.cameras
        }
        self.keep_subscription(JointTrajectory, "joint_trajectory", self._on_command, qos.COMMAND, raw=True)
        self.keep_subscription(String, "language_command", self._on_sentence, qos.LANGUAGE)
        self.keep(self.destroy_service, self.create_service(ResetSimulation, "sim/reset", self._on_reset))
        for period_s, callback in (
            (settings.task_state_period_s, self._tell_task),
            (1 / settings.qpos_rate_hz, self._tell_qpos),
            (PERIOD_S, self._tell_diagnostics),
            (_WATCH_PERIOD_S, self._watch_threads),
        ):
            self.keep_timer(period_s, callback)
        self._tell_task()

    def activate(self) -> None:
        settings = self._settings
        if settings.process_priority > 0:  # a robot's cameras and drives do not wait for other programs either
            raise_all_threads(settings.process_priority)
        if settings.publish_camera:  # first, since making a GL context stops the whole process for a moment
            self._start(
                CameraThread(
                    self.world, self._robot.cameras, settings.camera_rate_hz, lambda: self.stamp_ns, self._show
                )
            )
        self.world.resume(time.monotonic_ns())
        grid = settings.grid
        if grid is None:
            self.get_logger().warning(
                f"joint states at {settings.joint_state_rate_hz} Hz keep no phase to the command gate's ticks at "
                f"gate_rate_hz {settings.gate_rate_hz:g}: each is of another time before a tick"
            )
        self._loop = PacedLoop(
            "physics",
            settings.joint_state_rate_hz,
            self._advance,
            settings.thread_priority,
            core=settings.cpu_affinity,
            spare=self._process.spare,
            phase_ns=None if grid is None else -settings.lead_ns - settings.ahead_ns,
            grid=grid,
        )
        self._process.begin(lock_memory=settings.lock_memory)
        self._start(self._loop)

    def deactivate(self) -> None:
        while self._threads:
            self.stop_thread(self._threads.pop())
        self._loop = None
        self._process.end()
        lower_all_threads()

    def cleanup(self) -> None:
        self._world = None

    def _advance(self, now_ns: int) -> None:
        """One slice of physics, in the paced thread: computed a little ahead, sent at the moment that it is of."""
        assert self._loop is not None
        until_ns = now_ns - (now_ns - self._loop.slots.due_ns) % self._loop.period_ns + self._settings.ahead_ns
        reading = self.world.advance(until_ns)
        sleep_until_ns(until_ns)
        stamp_ns = self.stamp_ns - (time.monotonic_ns() - until_ns)
        self._joints.publish(self._writer.write(reading.positions, reading.velocities, stamp_ns))
        self._slices += 1
        if self._slices % self._settings.slices_per_clock == 0:
            self._time.publish(ClockMsg(clock=stamp_from_ns(stamp_ns)))

    def _show(self, camera: Camera, stamp_ns: int, picture: Picture) -> None:
        self._images[camera.name].publish(rgb_to_image(picture, stamp_ns, camera.frame_id))

    def _on_command(self, data: bytes) -> None:
        try:
            command, answers_ns = self._reader.read(data)
        except MessageError as error:
            self.world.unreadable()
            self.get_logger().warning(str(error), throttle_duration_sec=_WARN_PERIOD_S)
            return
        try:
            self.world.command(time.monotonic_ns(), command, answers_ns, self.stamp_ns)
        except MessageError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=_WARN_PERIOD_S)

    def _on_sentence(self, message: String) -> None:
        """What is said to the robot is what the referee judges by, if it is about this scene."""
        try:
            self.world.ask(message.data)
        except TaskError as error:
            self.get_logger().info(f"the referee judges on by '{self.world.sentence}': {error}")
        self._tell_task()

    def _on_reset(
        self, request: ResetSimulation.Request, response: ResetSimulation.Response
    ) -> ResetSimulation.Response:
        if self._world is None:  # a request may still come after cleanup
            response.message = "the simulator is not configured"
            return response
        try:
            response.sentence = self.world.reset(request.task, request.seed, request.sentence, lambda: self.stamp_ns)
            response.success = True
        except Gr00tError as error:
            response.message = str(error)
        self._tell_task()
        return response

    def _tell_task(self) -> None:
        self._task.publish(verdict_to_message(self.world.verdict(), self.stamp_ns))

    def _tell_qpos(self) -> None:
        """For drawing only, so that pictures from outside cost the running simulation nothing."""
        self._qpos.publish(Float64MultiArray(data=array("d", self.world.generalised_positions().tobytes())))

    def _keep_phase(self) -> None:
        """A period that is no whole number of nanoseconds drifts, 0.4 ms an hour."""
        grid, settings = self._settings.grid, self._settings
        if self._loop is not None and self._loop.ticks > 0 and grid is not None:
            off_ns = grid.off_ns(self._loop.slots.due_ns, (settings.lead_ns + settings.ahead_ns) % grid.span_ns)
            if abs(off_ns) > _OFF_PHASE * grid.span_ns:
                self._loop.move(off_ns)

    def _tell_diagnostics(self) -> None:
        self._keep_phase()
        stamp = stamp_from_ns(self.stamp_ns)
        loop = loop_status("loop", self._loop, self._settings, self._process)
        self._diagnostics.publish(stamp, [world_to_status(self.world, self.world.verdict()), loop])

    def _watch_threads(self) -> None:
        """A simulator whose physics or cameras have died must not look alive: raise, which ends the process."""
        for thread in self._threads:
            if thread.failure is not None:
                raise thread.failure

    def _start(self, thread: PacedLoop | CameraThread) -> None:
        self._threads.append(thread)
        thread.start()


def main() -> int:
    return run(SimNode)


if __name__ == "__main__":
    sys.exit(main())
