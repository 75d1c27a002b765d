# SPDX-License-Identifier: Apache-2.0
"""The tabletop as a Gymnasium environment: seeded, deterministic, no ROS. One step is one policy period (50 ms)."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from gr00t_policy.core.errors import Gr00tError
from gr00t_sim.robot import HEAD_CAMERA
from gr00t_sim.simulation import TabletopSim

PERIOD_S = 0.05


class ActionError(Gr00tError):
    """An action that is not finite or not of the action space's shape."""


class TabletopEnv(gymnasium.Env[dict[str, Any], NDArray[np.float64]]):
    """Observation: ``ego_view`` (H, W, 3) uint8, ``state`` (J,) [rad], ``instruction`` text. Action: joint targets (J,) [rad].

    J = 29 policy joints in the embodiment's order, model convention. Reward 1 on the step that completes the task.
    Info has the referee's view (``success``, ``progress``, ``detail``), which a policy must not use.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": round(1 / PERIOD_S)}

    def __init__(
        self, task: str = "pick_named_object", max_steps: int = 300, image_size: int = 224, looks: str = "none"
    ) -> None:
        """looks: how pictures vary with the seed, a name of ``looks.PRESETS``. Raises TaskError, ConfigError."""
        self.sim = TabletopSim(task, looks=looks)
        self.render_mode = "rgb_array"
        self._max_steps, self._image_size = max_steps, image_size
        self._steps_taken = 0
        embodiment = self.sim.embodiment
        names = embodiment.joint_names
        self._index = np.array([names.index(name) for name in embodiment.policy_joint_names])
        lower = np.array([joint.lower_rad for joint in embodiment.policy_joints])
        upper = np.array([joint.upper_rad for joint in embodiment.policy_joints])
        self.action_space = spaces.Box(lower, upper, dtype=np.float64)
        self.observation_space = spaces.Dict(
            {
                HEAD_CAMERA: spaces.Box(0, 255, (image_size, image_size, 3), np.uint8),
                "state": spaces.Box(-np.pi, np.pi, lower.shape, np.float32),
                "instruction": spaces.Text(512, charset=_PRINTABLE),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """New scene. ``options``: ``sentence`` overrides the task's own (the referee then judges that sentence)."""
        super().reset(seed=seed)
        scene_seed = seed if seed is not None else int(self.np_random.integers(2**31))
        self.sim.reset(scene_seed, (options or {}).get("sentence"))
        self._steps_taken = 0
        return self._observe(), self._info()

    def step(self, action: NDArray[np.float64]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Reach ``action`` in one period. Raises ActionError on a wrong shape or non-finite values; nothing moves then."""
        action = np.asarray(action, dtype=np.float64)
        if action.shape != self._index.shape or not np.isfinite(action).all():
            raise ActionError(f"action must be {self._index.shape[0]} finite joint targets, got {action!r}")
        targets = self.sim.joint_targets()
        targets[self._index] = action
        self.sim.set_targets(targets, PERIOD_S)
        self.sim.step_physics(round(PERIOD_S / self.sim.timestep_s))
        self._steps_taken += 1
        info = self._info()
        return self._observe(), float(info["success"]), info["success"], self._steps_taken >= self._max_steps, info

    def render(self) -> NDArray[np.uint8]:
        """The head camera's picture."""
        return self.sim.render(HEAD_CAMERA, self._image_size, self._image_size)

    def close(self) -> None:
        self.sim.close()

    def _observe(self) -> dict[str, Any]:
        return {
            HEAD_CAMERA: self.render(),
            "state": self.sim.joint_positions()[self._index].astype(np.float32),
            "instruction": self.sim.sentence,
        }

    def _info(self) -> dict[str, Any]:
        status = self.sim.task_state()
        return {"success": status.success, "progress": status.progress, "detail": status.detail}


_PRINTABLE = "".join(chr(code) for code in range(32, 127))
