# SPDX-License-Identifier: Apache-2.0
"""How far the pictures of scenes may differ from the usual ones, by name: ``none``, ``mild``, ``strong``.

A policy that has seen one camera, one light and one table fails on any other. These ranges say what is drawn anew for
every scene; ``appearance.py`` draws it.
"""

from dataclasses import dataclass

from gr00t_policy.core.errors import ConfigError

Factor = tuple[float, float]
_AS_IT_IS: Factor = (1.0, 1.0)


@dataclass(frozen=True)
class Looks:
    """Ranges of uniform draws. Single numbers: up to so much either way; pairs: a factor between these two.

    Shadows are as they are. Named things keep their name: their hue moves by less than half the way to the next named
    colour, and lights are dimmed further than they are raised, since a burnt-out orange is yellow.
    """

    name: str
    camera_m: float = 0.0
    """The robot's cameras along each of their mount's axes."""
    camera_deg: float = 0.0
    """The robot's cameras about each of their own axes."""
    camera_fovy_deg: float = 0.0
    """Their vertical field of view."""
    lamp_deg: float = 0.0
    """Each lamp about what it shines on, forwards and sideways; it goes on shining there."""
    lamp_strength: Factor = _AS_IT_IS
    """Each lamp."""
    ambient_strength: Factor = _AS_IT_IS
    """The light that comes from everywhere and from the camera."""
    warmth: float = 0.0
    """Colour of all light: red up and blue down by this share (warm), or the other way (cool)."""
    surface_shade: Factor = _AS_IT_IS
    """Brightness of table and floor, each."""
    surface_hue_deg: float = 0.0
    """Hue of the table."""
    other_surfaces: float = 0.0
    """Probability of another pattern in another tone, of table and floor each."""
    thing_shade: Factor = _AS_IT_IS
    """Brightness of every object, bin and piece of furniture, each."""
    thing_saturation: Factor = _AS_IT_IS
    """Saturation of the same."""
    thing_hue_deg: float = 0.0
    """Hue of the same."""
    robot_shade: Factor = _AS_IT_IS
    """Brightness of the robot's hands and of the rest of it, each."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            pair = value if isinstance(value, tuple) else (0.0, value) if isinstance(value, float) else (0.0, 0.0)
            if not 0.0 <= pair[0] <= pair[1]:
                raise ConfigError(f"looks '{self.name}': {name} must be a range of numbers not below 0, got {value}")

    @property
    def varied(self) -> bool:
        """Whether anything differs from the usual pictures."""
        return any(
            value != usual for value, usual in zip(vars(self).values(), vars(Looks(self.name)).values(), strict=True)
        )


PRESETS = {
    looks.name: looks
    for looks in (
        Looks("none"),
        Looks(
            "mild",  # another robot of the same make in the same room: mounting tolerance, another hour
            camera_m=0.01,
            camera_deg=1.5,
            camera_fovy_deg=1.0,
            lamp_deg=10.0,
            lamp_strength=(0.75, 1.1),
            ambient_strength=(0.8, 1.1),
            warmth=0.05,
            surface_shade=(0.8, 1.05),
            surface_hue_deg=5.0,
            thing_shade=(0.9, 1.05),
            thing_saturation=(0.92, 1.05),
            thing_hue_deg=2.0,
            robot_shade=(0.8, 1.2),
        ),
        Looks(
            "strong",  # another room
            camera_m=0.03,
            camera_deg=4.0,
            camera_fovy_deg=4.0,
            lamp_deg=30.0,
            lamp_strength=(0.4, 1.15),
            ambient_strength=(0.6, 1.15),
            warmth=0.10,
            surface_shade=(0.6, 1.1),
            surface_hue_deg=10.0,
            other_surfaces=0.7,
            thing_shade=(0.8, 1.1),
            thing_saturation=(0.8, 1.1),
            thing_hue_deg=4.0,
            robot_shade=(0.6, 2.0),
        ),
    )
}


def looks_named(name: str) -> Looks:
    """The preset of that name. Raises ConfigError naming the known ones."""
    if name not in PRESETS:
        raise ConfigError(f"unknown looks '{name}'; known: {', '.join(PRESETS)}")
    return PRESETS[name]
