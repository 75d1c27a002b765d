# SPDX-License-Identifier: Apache-2.0
"""The robot's cameras, rendered in a thread of their own so that pictures never delay the physics.

Rendering a frame takes 7 to 11 ms of one core; MuJoCo releases the interpreter lock meanwhile. The thread works on a
copy of the state, and owns the GL contexts, which must be made, used and freed in one thread.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Camera
from gr00t_sim.ros.live_world import LiveWorld
from gr00t_sim.simulation import TabletopSim

Picture = NDArray[np.uint8]
Publish = Callable[[Camera, int, Picture], None]

_START_S = 30.0  # the first picture also builds the GL context


class Cameras:
    """Takes pictures of a ``LiveWorld``. Use and close it in the thread that made it."""

    def __init__(self, world: LiveWorld, stamp_now: Callable[[], int]) -> None:
        self._world = world
        self._stamp_now = stamp_now
        self._look: TabletopSim | None = None

    def take(self, cameras: tuple[Camera, ...]) -> list[tuple[Camera, int, Picture]]:
        """One picture (H, W, 3) per camera, all of the same instant, with its stamp [ns]."""
        look = self._look_at(self._world.sim)
        while not self._world.copy_state(look.model, look.data):
            look = self._look_at(self._world.sim)
        stamp_ns = self._stamp_now()
        return [(camera, stamp_ns, look.render(camera.name, camera.width, camera.height)) for camera in cameras]

    def close(self) -> None:
        """Free the GL contexts."""
        if self._look is not None:
            self._look.close()
        self._look = None

    def _look_at(self, sim: TabletopSim) -> TabletopSim:
        """A second look at the running simulation: its model, but a state and GL contexts of its own."""
        if self._look is None or self._look.model is not sim.model:
            self.close()
            self._look = sim.view()
        return self._look


class CameraThread:
    """Takes and publishes pictures at a steady rate until stopped. Its priority is below that of physics."""

    def __init__(
        self,
        world: LiveWorld,
        cameras: tuple[Camera, ...],
        rate_hz: float,
        stamp_now: Callable[[], int],
        publish: Publish,
    ) -> None:
        self.name = "cameras"
        self._world = world
        self._cameras = cameras
        self._period_s = 1 / rate_hz
        self._stamp_now = stamp_now
        self._publish = publish
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._first: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        """Return when the first picture is out. Raises what went wrong on the way to it."""
        self._thread.start()
        self._first.result(timeout=_START_S)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> bool:
        """End after the picture that is being taken; always True, since it is waited for."""
        self._stop.set()
        self._thread.join()
        return True

    def _run(self) -> None:
        taker = Cameras(self._world, self._stamp_now)
        try:
            self._take_and_publish(taker)
            self._first.set_result(None)
            due_s = time.monotonic()
            while not self._stop.wait(max(0.0, due_s - time.monotonic())):
                self._take_and_publish(taker)
                due_s = max(due_s + self._period_s, time.monotonic())  # pictures that came too late are not made up
        except Exception as error:  # noqa: BLE001 - carried over to the owner's thread, whatever it is
            self.failure = error
            if not self._first.done():
                self._first.set_exception(error)
        finally:
            taker.close()

    def _take_and_publish(self, taker: Cameras) -> None:
        for camera, stamp_ns, picture in taker.take(self._cameras):
            self._publish(camera, stamp_ns, picture)
