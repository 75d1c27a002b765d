# SPDX-License-Identifier: Apache-2.0
"""Source demonstrations cut into segments, ready to be carried over: plain arrays that travel to any worker."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gr00t_policy.core.errors import DatasetError
from gr00t_sim.evaluation.seeds import EVALUATION_SEEDS
from gr00t_sim.multiplication.geometry import Place, share_turned
from gr00t_sim.multiplication.segmentation import HandMotion, Segment, SegmentationError, boundaries
from gr00t_sim.multiplication.source_data import RecordedEpisode
from gr00t_sim.multiplication.subtasks import PlannedSubtask, bodies_of
from gr00t_sim.multiplication.trace import Trace, place_now, replay
from gr00t_sim.multiplication.wrists import Wrists
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.tasks.task import TaskError


@dataclass(frozen=True)
class Source:
    """One demonstration. index: its episode; layout: where the references and objects stood at first; shapes: of the objects."""

    index: int
    segments: tuple[Segment, ...]
    layout: dict[str, Place]
    shapes: tuple[str, ...]

    @property
    def plan(self) -> tuple[PlannedSubtask, ...]:
        return tuple(segment.subtask for segment in self.segments)

    @property
    def rows(self) -> int:
        """How many rows its segments have together, each hand's counted."""
        return sum(len(motion) for segment in self.segments for motion in segment.motions.values())

    @property
    def hands(self) -> tuple[tuple[str, ...], ...]:
        """Which hands do the subtasks, in order."""
        return tuple(segment.subtask.hands for segment in self.segments)


def cut(trace: Trace, episode: RecordedEpisode, wrists: Wrists, shapes: tuple[str, ...]) -> Source:
    """The segments of a replayed demonstration. Raises SegmentationError."""
    poses = wrists.poses(trace.targets)
    segments = []
    for subtask, (first, end) in zip(trace.plan, boundaries(trace), strict=True):
        motions = {
            hand: HandMotion(
                poses[hand][first:end], trace.targets[first:end, wrists.fingers[hand]], episode.valid[first:end]
            )
            for hand in subtask.hands
        }
        row = min(first, len(trace) - 1)
        start = None if subtask.body is None else trace.places[subtask.body][row]
        goes_to = None if subtask.way_to is None else trace.places[subtask.way_to][row]
        shut = np.empty(0)
        if subtask.following == "swung" and start is not None and goes_to is not None:
            assert subtask.body is not None
            shut = share_turned(start, trace.places[subtask.body][first:end], goes_to)
        segments.append(Segment(subtask, first, motions, start, goes_to, shut))
    layout = {body: places[0] for body, places in trace.places.items()}
    return Source(episode.index, tuple(segments), layout, shapes)


def prepare(
    sim: TabletopSim,
    episodes: list[RecordedEpisode],
    progress: Callable[[], object] = lambda: None,
) -> tuple[list[Source], dict[int, str]]:
    """Sources of the episodes whose replay succeeds, and why the others do not serve (index -> reason); scenes of the
    evaluation never do.

    Raises DatasetError when none is left, saying of each why.
    """
    wrists = Wrists(sim.embodiment, sim.task.name)
    sources: list[Source] = []
    refused: dict[int, str] = {}
    for episode in episodes:
        if episode.seed in EVALUATION_SEEDS:
            refused[episode.index] = f"it shows scene {episode.seed}, which is for evaluation"
            progress()
            continue
        try:
            trace = replay(sim, episode)
            if trace.success:
                sources.append(cut(trace, episode, wrists, shapes_of(sim, trace.plan)))
            else:
                refused[episode.index] = f"its replay in scene {episode.seed} ends with: {trace.detail}"
        except (SegmentationError, TaskError) as error:
            refused[episode.index] = str(error)
        progress()
    if not sources:
        reasons = "; ".join(f"episode {index}: {reason}" for index, reason in refused.items())
        raise DatasetError(f"not one demonstration can be multiplied. {reasons}")
    return sources, refused


def layout_now(sim: TabletopSim, subtasks: tuple[PlannedSubtask, ...]) -> dict[str, Place]:
    """Where the references and objects of a plan stand."""
    return {body: place_now(sim, body) for body in bodies_of(subtasks)}


def shapes_of(sim: TabletopSim, subtasks: tuple[PlannedSubtask, ...]) -> tuple[str, ...]:
    """Shape and size of each subtask's object, to be compared; '' for a part of the furniture."""
    kinds = {kind.name: kind for kind in sim.task.objects}
    found = (kinds.get(one.object) for one in subtasks)
    return tuple("" if kind is None else f"{kind.geom} {kind.size}" for kind in found)
