# SPDX-License-Identifier: Apache-2.0
"""Pick-and-place of one object after the other; a hand whose turn is over goes home by itself."""

from gr00t_sim.experts.pick_place import PickPlaceExpert
from gr00t_sim.kinematics import Pose


class TwoStepExpert(PickPlaceExpert):
    """The present goal's hand works, the other one clears the way."""

    def idle(self, side: str) -> Pose | None:
        return self.homewards(side)
