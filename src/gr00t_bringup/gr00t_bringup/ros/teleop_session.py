# SPDX-License-Identifier: Apache-2.0
"""What the person at the terminal may ask for while somebody drives: episodes, scenes, who drives, stop.

Every request returns one sentence for the person. A request that is refused raises NotReadyError with the reason.
"""

from dataclasses import dataclass
from pathlib import Path

from gr00t_msgs.srv import FinishEpisode, SelectCommandSource

from gr00t_bringup.ros.stack import RunningStack
from gr00t_bringup.ros.stack_client import NotReadyError
from gr00t_bringup.ros.teleop_states import TOPICS, teleop_status
from gr00t_bringup.teleop_status import TeleopStatus
from gr00t_policy.data.bag_metadata import METADATA_FILE
from gr00t_sim.evaluation.seeds import EVALUATION_SEEDS, scene_seed

_HEARD_S = 5.0
_RECORDER_S = 5.0  # until the recorder has found all senders, which it looks for twice a second
_FOLLOWING = ("engaged", "holding")  # states of the retargeter with a closed clutch
_OPEN = ("recording", "saving", "review")  # states of the recorder in which an episode is not decided about


@dataclass(frozen=True)
class Plan:
    """What is to be recorded. seed: of the first scene; each kept episode takes the next, ``scene_seed`` says which. wanted:
    episodes; 0: no number.

    say: the sentence; '': each scene's own. has_policy: whether there is one that the person can take over from.
    clutch_takes_over: closing the clutch does so, since who wears a headset reaches no key. replays: the person is a
    recording, which begins when it is their turn: with each scene, or when they take over.
    """

    task: str
    seed: int
    say: str
    folder: Path
    wanted: int = 0
    has_policy: bool = False
    clutch_takes_over: bool = False
    replays: bool = False


class TeleopSession:
    """Owns the order of things: one scene after the other, the robot held while a scene is laid out."""

    def __init__(self, stack: RunningStack, plan: Plan) -> None:
        self._stack, self._plan = stack, plan
        self._before = self._closed()
        self._number = len(self._before)  # of the scene; a second run into the same folder goes on
        self._sentence = ""
        self._solved = False  # when the newest episode ended
        self._kept = 0
        self._was_closed = True  # a clutch that is closed from the start takes nothing over
        self.driver = ""

    @property
    def is_done(self) -> bool:
        """Whether as many episodes were kept as wanted."""
        return 0 < self._plan.wanted <= self._kept

    def begin(self) -> str:
        """The first scene; then the policy drives, or without one the person. Episodes may be begun at once."""
        self.driver = "policy" if self._plan.has_policy else "teleop"
        self._set_scene()
        ready = self._stack.client.spin_until(lambda: self._read().recorder == "ready", _RECORDER_S)
        self._begin_replay_on_turn()
        return self._scene if ready else f"{self._scene}; no episode can begin yet: {self._read().recorder_detail}"

    def status(self, notice: str = "") -> TeleopStatus:
        """What the nodes said last. An episode kept meanwhile, by a key or a service, is counted and a new scene laid out."""
        status = self._read(notice)
        closed, was_closed = status.following in _FOLLOWING, self._was_closed
        self._was_closed = closed
        if self._plan.clutch_takes_over and self.driver == "policy" and closed and not was_closed:
            self._let_person_drive()
        undecided = {Path(status.bag)} if status.recorder in _OPEN and status.bag else set()
        kept = len(self._closed() - self._before - undecided)
        if kept > self._kept:
            self._number += kept - self._kept
            self._kept = kept
            if not self.is_done:
                self.lay_out()
        return self._read(notice)

    def lay_out(self) -> str:
        """Lay out the scene of the present seed and say its sentence; the robot is held meanwhile."""
        self._set_scene()
        self._begin_replay_on_turn()
        return self._scene

    def next_scene(self) -> str:
        self._number += 1
        return self.lay_out()

    def start_episode(self) -> str:
        """Refused in a scene that is kept for evaluation: episodes are recorded to be trained on."""
        if self._seed in EVALUATION_SEEDS:
            raise NotReadyError(
                f"scene {self._seed} is for evaluation, as are all from {EVALUATION_SEEDS.start} to "
                f"{EVALUATION_SEEDS.stop - 1}: it can be driven, and is not recorded; start with another --seed to record"
            )
        return f"recording {Path(self._stack.client.trigger('recorder/start')).name}"

    def end_episode(self) -> str:
        self._solved = self._read().success
        return f"{Path(self._stack.client.trigger('recorder/stop')).name} ended; keep or discard it"

    def keep(self) -> str:
        """Keep the episode; a success where the referee saw the task solved when it ended."""
        status = self._read()
        solved = status.success if status.recorder == "recording" else self._solved
        return self._finish(keep=True, outcome="success" if solved else "")

    def keep_as_failure(self) -> str:
        return self._finish(keep=True, outcome="failure")

    def discard(self) -> str:
        """Discard the episode and lay the same scene out again."""
        said = self._finish(keep=False, outcome="")
        return f"{said}; again, {self.lay_out()}"

    def take_over(self) -> str:
        """The person drives: the gate brings the robot to rest, and it follows from there once the clutch is closed."""
        self._let_person_drive()
        self._begin_replay()
        return "the person drives: close the clutch, and the robot follows from where it is"

    def hand_back(self) -> str:
        """The policy drives on from where the robot is."""
        if not self._plan.has_policy:
            raise NotReadyError("there is no policy to hand back to; start with --checkpoint")
        self.driver = "policy"
        self._select("policy")
        return "the policy drives on"

    def stop(self) -> str:
        return self._stack.client.trigger("command_gate/stop")

    def reset(self) -> str:
        return self._stack.client.trigger("command_gate/reset")

    def calibrate(self) -> str:
        return self._stack.client.trigger("teleop/calibrate")

    def release(self) -> str:
        """Nobody drives: the robot is held."""
        self._select("")
        return "the robot is held"

    def count_kept(self) -> int:
        """Episodes of this run that are on disk, also the one that the end of the recorder kept."""
        return len(self._closed() - self._before)

    @property
    def _seed(self) -> int:
        return scene_seed(self._plan.seed, self._number)

    @property
    def _scene(self) -> str:
        return f"scene {self._seed}: {self._sentence}"

    def _set_scene(self) -> None:
        if self._read().recorder == "recording":
            raise NotReadyError("an episode is being recorded; end it first")
        self._select("")
        plan, client = self._plan, self._stack.client
        self._sentence = client.reset_simulation(plan.task, self._seed, plan.say)
        client.wait_listeners(["recorder", *(["planner"] if plan.has_policy else [])], _HEARD_S)
        client.say(self._sentence)
        self._select(self.driver)

    def _begin_replay_on_turn(self) -> None:
        if self.driver == "teleop" or self._plan.clutch_takes_over:
            self._begin_replay()

    def _let_person_drive(self) -> None:
        self.driver = "teleop"
        self._select("teleop")

    def _begin_replay(self) -> None:
        if self._plan.replays:
            self._stack.client.trigger("operator/replay")

    def _read(self, notice: str = "") -> TeleopStatus:
        newest = [self._stack.recorder.newest(topic) for topic in TOPICS]
        known = {"sentence": self._sentence, "kept": self._kept, "wanted": self._plan.wanted, "notice": notice}
        return teleop_status(*newest, **known)

    def _select(self, source: str) -> None:
        request = SelectCommandSource.Request(source=source)
        answer = self._stack.client.call(SelectCommandSource, "command_gate/select", request)
        if not answer.success:
            raise NotReadyError(f"the gate refuses '{source}': {answer.message}")

    def _finish(self, *, keep: bool, outcome: str) -> str:
        request = FinishEpisode.Request(keep=keep, outcome=outcome)
        answer = self._stack.client.call(FinishEpisode, "recorder/finish", request)
        if not answer.success:
            raise NotReadyError(str(answer.message))
        verdict = f"kept{f' as a {outcome}' if outcome else ''}" if keep else "discarded"
        return f"{Path(answer.bag_path).name} {verdict}"

    def _closed(self) -> set[Path]:
        """Episodes whose bag is final."""
        return {file.parent for file in self._plan.folder.glob(f"episode_*/{METADATA_FILE}")}
