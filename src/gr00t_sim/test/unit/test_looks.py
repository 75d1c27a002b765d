# SPDX-License-Identifier: Apache-2.0
"""Looks change pictures and nothing else: not physics, not layouts, not what things are called, not where labels point."""

import colorsys

import mujoco
import numpy as np
import pytest
from made_results import SETTINGS, made_identity

from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_sim.evaluation.episode import EpisodeSettings
from gr00t_sim.evaluation.options import EpisodeOptions
from gr00t_sim.generate import GenerateConfig
from gr00t_sim.generate import run as generate
from gr00t_sim.looks import PRESETS, Looks, looks_named
from gr00t_sim.objects import COLOURS
from gr00t_sim.projection import project
from gr00t_sim.robot import HEAD_CAMERA
from gr00t_sim.ros.config import SimConfig
from gr00t_sim.scene import OUTSIDE_CAMERA
from gr00t_sim.scenes import ScenesConfig
from gr00t_sim.simulation import TabletopSim
from gr00t_sim.surfaces import TONES

_SIDE_PX = 224
_SEEN = ("cam_pos", "cam_quat", "cam_fovy", "light_pos", "light_dir", "light_diffuse", "geom_rgba", "geom_matid")


@pytest.fixture(scope="module", params=["mild", "strong"])
def varied(request):
    sim = TabletopSim("choose_bin", looks=request.param)
    yield sim
    sim.close()


@pytest.fixture(scope="module")
def usual():
    sim = TabletopSim("choose_bin")
    yield sim
    sim.close()


def _worn(sim):
    headlight = sim.model.vis.headlight
    return [np.array(getattr(sim.model, name)) for name in _SEEN] + [headlight.ambient.copy(), headlight.diffuse.copy()]


def _run(sim, seed):
    sentence = sim.reset(seed)
    sim.set_targets(sim.home + 0.05, 0.1)
    sim.step_physics(60)
    return sentence, sim.data.qpos.copy()


def test_a_scene_is_laid_out_and_moves_the_same_with_any_looks(usual, varied):
    for seed in (1, 2):
        one, other = _run(usual, seed), _run(varied, seed)
        assert one[0] == other[0]
        np.testing.assert_array_equal(one[1], other[1])
        assert not np.array_equal(usual.render(), varied.render())


def test_without_looks_nothing_of_the_model_ever_changes(usual):
    before = _worn(usual)
    for seed in range(5):
        usual.reset(seed)
        for one, other in zip(before, _worn(usual), strict=True):
            np.testing.assert_array_equal(one, other)
    assert usual.model.nmat == 1, "no material is made that no scene wears"


def test_a_seed_has_its_looks_whatever_was_worn_before(varied):
    varied.reset(3)
    worn, picture = _worn(varied), varied.render()
    for seed in range(20):
        varied.reset(seed)
    varied.reset(3)
    for one, other in zip(worn, _worn(varied), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(picture, varied.render())


def test_cameras_lights_and_colours_stay_in_their_ranges_and_use_them(usual, varied):
    looks, model, plain = varied.looks, varied.model, usual.model
    head, outside = model.camera(HEAD_CAMERA).id, model.camera(OUTSIDE_CAMERA).id
    moved, turned, widened, lit = [], [], [], []
    for seed in range(100):
        varied.reset(seed)
        moved.append(np.abs(model.cam_pos[head] - plain.cam_pos[head]).max())
        turned.append(2 * np.rad2deg(np.arccos(min(1.0, abs(model.cam_quat[head] @ plain.cam_quat[head])))))
        widened.append(abs(model.cam_fovy[head] - plain.cam_fovy[head]))
        lit.append(model.light_diffuse[:, 1] / plain.light_diffuse[:, 1])
        np.testing.assert_array_equal(model.cam_pos[outside], plain.cam_pos[outside])
        np.testing.assert_allclose(np.linalg.norm(model.light_dir, axis=1), 1, atol=1e-6)
    for drawn, limit in (
        (moved, looks.camera_m),
        (turned, 3**0.5 * looks.camera_deg),
        (widened, looks.camera_fovy_deg),
    ):
        assert 0.7 * limit < max(drawn) <= limit * 1.0001
    assert looks.lamp_strength[0] - 1e-6 <= np.min(lit) < 1 < np.max(lit) <= looks.lamp_strength[1] + 1e-6


def test_every_table_tone_and_pattern_is_worn_by_some_scene():
    sim = TabletopSim("close_door", looks="strong")
    worn = set()
    for seed in range(150):
        sim.reset(seed)
        worn |= {int(material) for material in sim.model.geom_matid}
    assert worn == {-1, *range(sim.model.nmat)}
    assert all(colorsys.rgb_to_hsv(*tone)[1] < 0.5 for tone in TONES.values()), (
        "a tone that could be taken for a colour"
    )


@pytest.fixture(scope="module", params=["pick_ball_by_colour", "pick_by_colour", "choose_bin"])
def seen(request):
    """Per scene: [(name, pixels (n, 3), whether its projected centre is one of them)]."""
    sim = TabletopSim(request.param, looks="strong")
    segments = mujoco.Renderer(sim.model, _SIDE_PX, _SIDE_PX)
    segments.enable_segmentation_rendering()
    scenes = []
    for seed in range(12):
        sim.reset(seed, start=sim.home)
        picture = sim.render(width=_SIDE_PX, height=_SIDE_PX)
        segments.update_scene(sim.data, HEAD_CAMERA)
        geoms = segments.render()[..., 0]
        things = []
        for kind in (*sim.task.objects, *sim.task.bins):
            mask = np.isin(geoms, np.flatnonzero(sim.model.geom_bodyid == sim.model.body(kind.name).id))
            column, row = (project(sim.model, sim.data, HEAD_CAMERA, sim.place_of(kind.name)) * _SIDE_PX).astype(int)
            things.append((kind.name, picture[mask], bool(mask[row, column])))
        scenes.append(things)
    segments.close()
    sim.close()
    return scenes


def test_a_projected_thing_lies_on_its_own_pixels_under_the_moved_camera(seen):
    assert [name for things in seen for name, _, on_itself in things if not on_itself] == []


def test_a_thing_can_still_be_called_by_its_colour(seen):
    wrong = {
        (number, name, called)
        for number, things in enumerate(seen)
        for name, pixels, _ in things
        if (called := _colour_name(np.median(pixels, axis=0) / 255)) != name.split()[0]
    }
    assert wrong == set()


def _colour_name(rgb) -> str:
    """The colour word for a surface as lit: pale is white, otherwise the nearest hue."""
    hue, saturation, _ = colorsys.rgb_to_hsv(*rgb)
    if saturation < 0.3:
        return "white"
    hues = {name: colorsys.rgb_to_hsv(*colour)[0] for name, colour in COLOURS.items() if name != "white"}
    return min(hues, key=lambda name: abs((hue - hues[name] + 0.5) % 1 - 0.5))


@pytest.mark.parametrize(
    "refuse",
    [
        lambda: TabletopSim("choose_bin", looks="wild"),
        lambda: GenerateConfig(looks="wild"),
        lambda: ScenesConfig(looks="wild"),
        lambda: EpisodeOptions(looks="wild"),
        lambda: SimConfig(looks="wild"),
    ],
)
def test_unknown_looks_are_refused_with_the_known_names(refuse):
    with pytest.raises(ConfigError, match="'wild'.*none, mild, strong"):
        refuse()


def test_a_range_that_is_none_is_refused_by_name():
    with pytest.raises(ConfigError, match="lamp_strength"):
        Looks("mine", lamp_strength=(1.2, 0.8))
    with pytest.raises(ConfigError, match="camera_m"):
        Looks("mine", camera_m=-0.1)


def test_only_the_usual_looks_do_not_vary():
    assert [name for name in PRESETS if not looks_named(name).varied] == ["none"]


def test_results_of_other_looks_are_results_of_something_else():
    one = made_identity()
    other = made_identity(settings=EpisodeSettings(**{**vars(SETTINGS), "looks": "mild"}))
    assert one.differences(other) == {"looks": ("none", "mild")}
    assert one.folder_name != other.folder_name


def test_demonstrations_of_other_looks_are_not_added_to_those_that_are_there(tmp_path):
    mild, strong = (
        GenerateConfig(looks=looks, episodes=1, workers=1, out=tmp_path / "set") for looks in ("mild", "strong")
    )
    assert GenerateConfig(looks="mild").folder != GenerateConfig().folder
    assert generate(mild) == 0
    assert generate(mild) == 0, "it is there"
    with pytest.raises(DatasetError, match="looks: 'mild' there, 'strong' asked for"):
        generate(strong)
