# SPDX-License-Identifier: Apache-2.0
"""The GR-1 at its table as a running simulation: physics, joint targets, cameras, and the referee's view of the task."""

import copy
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_sim.appearance import Appearance
from gr00t_sim.looks import Looks, looks_named
from gr00t_sim.robot import GROUP_BODY, HEAD_CAMERA, robot_spec
from gr00t_sim.scene import add_tabletop
from gr00t_sim.surfaces import add_surfaces
from gr00t_sim.tasks.registry import make_task
from gr00t_sim.tasks.task import Task, object_position


@dataclass(frozen=True)
class TaskStatus:
    """The referee's verdict; privileged, for display and evaluation only."""

    success: bool
    progress: float
    detail: str
    sentence: str


class TabletopSim:
    """Owns one compiled model; ``reset`` starts an episode, targets ramp linearly, ``step_physics`` advances 2 ms a step.

    Joint vectors are (32,), ordered as ``embodiment.joints``, in the model convention. looks: how pictures vary from
    scene to scene; a preset's name or ranges of one's own. Raises TaskError, ConfigError on an unknown name.
    """

    def __init__(self, task: str | Task, embodiment: Embodiment | None = None, looks: str | Looks = "none") -> None:
        self.embodiment = embodiment or load_embodiment("gr1")
        self.looks = looks_named(looks) if isinstance(looks, str) else looks
        self.task = make_task(task) if isinstance(task, str) else task
        spec = robot_spec(self.embodiment)
        add_tabletop(spec, self.task.objects, self.task.bins, self.task.fixtures)
        surfaces = add_surfaces(spec) if self.looks.varied else ()
        self.model = spec.compile()
        cameras = [camera.name for camera in self.embodiment.cameras]
        self._appearance = Appearance(self.model, self.looks, cameras, surfaces)
        self.data = mujoco.MjData(self.model)
        names = self.embodiment.joint_names
        self._qpos = np.array([self.model.joint(name).qposadr[0] for name in names])
        self._dof = np.array([self.model.joint(name).dofadr[0] for name in names])
        self._actuator = np.array([self.model.actuator(name).id for name in names])
        self._followers = _followers(self.model, self.embodiment)
        self._lower = np.array([joint.lower_rad for joint in self.embodiment.joints])
        self._upper = np.array([joint.upper_rad for joint in self.embodiment.joints])
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        self.home = self.embodiment.positions_by_name(self.embodiment.home)
        self.sentence = ""
        self.reset(0)

    @property
    def time_s(self) -> float:
        return float(self.data.time)

    @property
    def timestep_s(self) -> float:
        return float(self.model.opt.timestep)

    def reset(self, seed: int, sentence: str | None = None, start: NDArray[np.float64] | None = None) -> str:
        """New scene from ``seed``; returns the sentence to obey. ``sentence`` overrides the task's own; ``start`` the pose.

        Raises TaskError when the task cannot tell what ``sentence`` asks for; then nothing has changed.
        """
        if sentence is not None and sentence.strip():
            self.task.parse(sentence)  # what is refused must leave the scene as it was
        rng = np.random.default_rng(seed)
        mujoco.mj_resetData(self.model, self.data)
        self._appearance.wear(seed)
        self.sentence = self.task.place(self.model, self.data, rng, sentence)
        pose = self.home + rng.normal(size=self.home.shape) * self._start_noise() if start is None else start
        self.place_joints(np.clip(pose, self._lower, self._upper))
        return self.sentence

    def ask(self, sentence: str) -> None:
        """From now on the referee judges by ``sentence``; the scene stays as it is. Raises TaskError."""
        self.task.ask(self.data, sentence)
        self.sentence = sentence

    def view(self) -> "TabletopSim":
        """The same model with a state and GL contexts of its own, to render in another thread."""
        other = copy.copy(self)
        other.data, other._renderers = mujoco.MjData(self.model), {}
        return other

    def place_joints(self, positions: NDArray[np.float64]) -> None:
        """Teleport the robot (not the objects) to rest at ``positions`` (32,)."""
        self.data.qpos[self._qpos] = positions
        for follower, leader, ratio in self._followers:
            self.data.qpos[follower] = ratio * self.data.qpos[leader]
        self.data.qvel[:] = 0
        self.data.ctrl[self._actuator] = positions
        self._from = self._target = positions.copy()
        self._ramp_steps = self._ramp_done = 0
        mujoco.mj_forward(self.model, self.data)

    def set_targets(self, positions: NDArray[np.float64], ramp_s: float) -> None:
        """Ramp linearly from the present targets to ``positions`` (32,), to be reached after ``ramp_s``."""
        self._from = self.data.ctrl[self._actuator].copy()
        self._target = np.clip(positions, self._lower, self._upper)
        self._ramp_steps, self._ramp_done = max(1, round(ramp_s / self.timestep_s)), 0

    def step_physics(self, steps: int) -> None:
        """Advance ``steps`` times 2 ms."""
        for _ in range(steps):
            if self._ramp_done < self._ramp_steps:
                self._ramp_done += 1
                part = self._ramp_done / self._ramp_steps
                self.data.ctrl[self._actuator] = self._from + part * (self._target - self._from)
            mujoco.mj_step(self.model, self.data)

    def joint_positions(self) -> NDArray[np.float64]:
        return self.data.qpos[self._qpos].copy()

    def joint_velocities(self) -> NDArray[np.float64]:
        return self.data.qvel[self._dof].copy()

    def joint_targets(self) -> NDArray[np.float64]:
        """The targets the servos follow at this instant (32,)."""
        return self.data.ctrl[self._actuator].copy()

    def place_of(self, name: str) -> NDArray[np.float64]:
        """Centre of a loose object, or origin of any other body (3,) [m]."""
        if any(kind.name == name for kind in self.task.objects):
            return object_position(self.data, name)
        return np.array(self.data.body(name).xpos)

    def task_state(self) -> TaskStatus:
        return TaskStatus(*self.task.judge(self.model, self.data), self.sentence)

    def render(self, camera: str = HEAD_CAMERA, width: int = 224, height: int = 224) -> NDArray[np.uint8]:
        """Picture (height, width, 3) uint8 RGB. Must always be called from one thread (the GL context's)."""
        if (width, height) not in self._renderers:
            renderer = mujoco.Renderer(self.model, height, width)
            renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0  # 4 times the cost of everything else together
            self._renderers[(width, height)] = renderer
        renderer = self._renderers[(width, height)]
        renderer.update_scene(self.data, camera, _visible_groups(body=camera != HEAD_CAMERA))
        return renderer.render().copy()

    def close(self) -> None:
        """Free the GL contexts; without it Mesa complains at exit."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def _start_noise(self) -> NDArray[np.float64]:
        scale = {"left_arm": 0.03, "right_arm": 0.03, "left_hand": 0.02, "right_hand": 0.02, "waist": 0.005}
        return np.array([scale.get(joint.group, 0.0) for joint in self.embodiment.joints])


def _visible_groups(*, body: bool) -> mujoco.MjvOption:
    option = mujoco.MjvOption()
    option.geomgroup[:] = 0
    option.geomgroup[: GROUP_BODY + 1 if body else GROUP_BODY] = 1
    option.sitegroup[:] = 0
    return option


def _followers(model: mujoco.MjModel, embodiment: Embodiment) -> list[tuple[int, int, float]]:
    """(follower qpos, leader qpos, ratio) of the finger linkages, from the model's joint equalities."""
    driven = set(embodiment.joint_names)
    found = []
    for index in range(model.neq):
        if model.eq_type[index] != mujoco.mjtEq.mjEQ_JOINT:
            continue
        one, two = int(model.eq_obj1id[index]), int(model.eq_obj2id[index])
        if model.joint(one).name not in driven and model.joint(two).name in driven:
            found.append((int(model.jnt_qposadr[one]), int(model.jnt_qposadr[two]), float(model.eq_data[index, 1])))
    return found
