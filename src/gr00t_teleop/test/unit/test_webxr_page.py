# SPDX-License-Identifier: Apache-2.0
"""The page itself, in headless Chromium with an emulated headset, over TLS."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from emulated_headset import MISSING, emulated_headset

from gr00t_policy.data.rotation import to_matrix
from gr00t_teleop.devices.webxr import WebXr, WebXrOptions
from gr00t_teleop.types import KEYPOINTS, OperatorState, tracked
from headless_browser import NO_BROWSER, Browser

pytestmark = pytest.mark.skipif(bool(NO_BROWSER), reason=NO_BROWSER)
needs_headset = pytest.mark.skipif(bool(MISSING), reason=MISSING)
CODE = "271828"
_INDEX_TIP = KEYPOINTS.index("index_tip")


@pytest.fixture
def served(tmp_path):
    states: list = []
    device = WebXr(WebXrOptions("127.0.0.1", 0, tmp_path / "certificate", CODE), time.time_ns, lambda _: None)
    device.start(lambda state: states.append((time.time_ns(), state)))
    yield device, states, tmp_path / "browser"
    device.stop()


def address(served) -> str:
    return f"https://localhost:{served[0].port}/"


@asynccontextmanager
async def browse(served, inputs: str, *, tracks_grips: bool = False) -> AsyncIterator[Browser]:
    async with Browser(served[2], emulated_headset(inputs, tracks_grips=tracks_grips)) as browser:
        await browser.open(address(served))
        yield browser


async def pair(browser: Browser, code: str = CODE) -> None:
    await browser.do(f"document.getElementById('code').value = '{code}'; document.getElementById('connect').click()")


async def arrived(states: list, count: int) -> None:
    deadline = time.monotonic() + 15
    while len(states) < count:
        assert time.monotonic() < deadline, f"{len(states)} of {count} samples"
        await asyncio.sleep(0.02)


@needs_headset
def test_hands_of_the_headset_arrive_where_they_are_and_a_reload_is_a_break(served, record_property):
    device, states, _ = served

    async def session():
        async with browse(served, "hand") as browser:
            await pair(browser)
            await browser.until("link.accepted")
            await browser.do("document.getElementById('start').click()")
            await arrived(states, 120)
            await browser.until("document.getElementById('driving').textContent.startsWith('not driving')")
            assert browser.faults == [] and all(url.startswith(address(served)) for url in browser.asked)
            await browser.open(address(served))
            begun = len(states)
            await pair(browser)
            await browser.until("link.accepted")
            await browser.do("document.getElementById('start').click()")
            await arrived(states, begun + 20)

    asyncio.run(session())
    newest = states[100][1]
    assert tracked(newest.left_hand).all() and tracked(newest.right_hand).all()
    assert np.allclose(newest.head[:3], [0, 0, 1.6], atol=0.06)
    assert np.allclose(newest.left_wrist[:3], [0.4, 0.25, 1.1], atol=0.15)
    assert np.allclose(newest.right_wrist[:3], [0.5, -0.25, 1.2], atol=0.15)
    assert newest.left_hand[_INDEX_TIP, 0] > newest.left_wrist[0] + 0.05, "fingers point ahead"
    assert (np.diff([state.sequence for _, state in states]) > 0).all()
    assert device.counters()["connections"] == 2 and device.counters()["malformed"] == 0
    between = np.diff([state.stamp_ns for _, state in states[20:110]]) / 1e6
    age = np.array([at - state.stamp_ns for at, state in states[20:110]]) / 1e6
    p50, p99 = np.percentile(age, [50, 99])
    record_property("page", f"{1000 / between.mean():.1f} Hz, p50 {p50:.1f}, p99 {p99:.1f} ms, {device.counters()}")


@needs_headset
def test_the_grip_button_of_a_controller_is_the_clutch_and_the_page_shows_who_drives(served):
    _, states, _ = served

    async def session():
        async with browse(served, "controller") as browser:
            await pair(browser)
            await browser.until("link.accepted")
            await browser.do("document.getElementById('start').click()")
            await arrived(states, 20)
            await browser.do("emulated.controllers.right.updateButtonValue('squeeze', 1)")
            await browser.until("document.getElementById('driving').textContent === 'the robot follows you'")
            assert states[-1][1].engaged
            await browser.do("link.socket.close()")
            await browser.until("!link.accepted")
            await browser.until("link.accepted")
            again = len(states)
            await arrived(states, again + 20)
            assert not states[-1][1].engaged, "held over the break: must be opened first"
            await browser.do("emulated.controllers.right.updateButtonValue('squeeze', 0)")
            await browser.until("!link.engaged")
            await asyncio.sleep(0.3)
            await browser.do("emulated.controllers.right.updateButtonValue('squeeze', 1)")
            await browser.until("link.engaged")

    asyncio.run(session())
    assert all(tracked(state.head) for _, state in states)
    # This emulator calls the positions of its controllers guessed (emulatedPosition): they must not be used.
    assert not any(tracked(state.right_wrist) or tracked(state.right_hand).any() for _, state in states)


@needs_headset
def test_a_hand_that_holds_a_controller_has_the_axes_and_the_place_of_the_bare_hand(served):
    """The emulator's left hand was recorded from a person, with the grip that a controller in it would have; the joints of
    its right hand are mirrored from it, but not the grip."""
    _, states, _ = served
    seen: dict[str, OperatorState] = {}

    async def session():
        async with browse(served, "hand", tracks_grips=True) as browser:
            await pair(browser)
            await browser.until("link.accepted")
            await browser.do("document.getElementById('start').click()")
            for name, act in (
                ("hand", "0"),
                ("grip", "window.asGrip = true"),
                ("controller", "emulated.primaryInputMode = 'controller'"),
            ):
                await browser.do(act)
                await arrived(states, len(states) + 30)  # 0.1 s of which a leap costs
                seen[name] = states[-1][1]
            assert browser.faults == []

    asyncio.run(session())
    for side in ("left", "right"):
        hand, grip, held = (getattr(seen[name], f"{side}_wrist") for name in ("hand", "grip", "controller"))
        assert tracked(hand) and tracked(grip) and tracked(held)
        if side == "left":
            assert abs(hand[3:] @ grip[3:]) > np.cos(0.02 / 2), "turned by less than 0.02 rad"
            assert np.allclose(grip[:2], hand[:2], atol=0.01) and abs(grip[2] - hand[2]) < 0.11, "it swings up and down"
        # The handle of this controller is raised by 45 degrees against the ray by which it points, here straight ahead:
        # the thumb is ahead and above, the hand points ahead and down, its back outwards.
        along, _, back = to_matrix(held[[6, 3, 4, 5]], "quaternion").T
        assert np.allclose(along, [np.sqrt(0.5), 0.0, -np.sqrt(0.5)], atol=0.15)
        assert np.allclose(back, [0.0, 1.0 if side == "left" else -1.0, 0.0], atol=0.15)
        ahead, across, above = (0.4, 0.25, 1.1) if side == "left" else (0.5, -0.25, 1.2)
        assert np.allclose(held[:3], [ahead, across, above], atol=0.15)
        assert tracked(getattr(seen["hand"], f"{side}_hand")).all()
        assert not tracked(getattr(seen["controller"], f"{side}_hand")).any()


@needs_headset
def test_the_pointer_that_a_headset_makes_of_a_pinch_is_no_controller(served):
    """It has a grip and a side, as controllers do, and comes beside the hands: taken for one it opened the clutch."""
    _, states, _ = served

    async def session():
        async with browse(served, "hand", tracks_grips=True) as browser:
            await pair(browser)
            await browser.until("link.accepted")
            await browser.do("document.getElementById('start').click()")
            await arrived(states, 20)
            await browser.do("window.pinches = true; 0")
            await arrived(states, len(states) + 20)
            assert await browser.do("xr.session.inputSources.length") == 4
            assert await browser.do("Number.isNaN(frame[5])"), "bare hands have no button"
            assert await browser.do("[...frame.slice(6, 11)]") == [1, 1, 1, 1, 1], "wrists of hands, not grips"

    asyncio.run(session())
    assert all(tracked(state.left_hand).all() and tracked(state.right_hand).all() for _, state in states[-10:])


@needs_headset
def test_a_wrong_code_is_told_on_the_page_and_nothing_is_sent(served):
    async def session():
        async with browse(served, "hand") as browser:
            await pair(browser, "000000")
            await browser.until("link.refused")
            assert "wrong pairing code" in await browser.text("connection")
            assert await browser.do("document.getElementById('start').disabled")

    asyncio.run(session())
    assert served[1] == []


def test_a_browser_without_a_headset_says_so_and_goes_on_saying_it(served):
    async def session():
        async with Browser(served[2]) as browser:
            await browser.screen(360, 740, phone=True)
            await browser.open(address(served))
            await browser.until("document.getElementById('trouble').textContent")
            assert await browser.do("document.documentElement.scrollWidth") == 360, "nothing sticks out of a phone"
            await pair(browser)
            await browser.until("link.accepted")
            await browser.do("document.getElementById('start').click()")
            await asyncio.sleep(1.2)  # two states of the robot arrive, which must not wipe it out
            assert "browser of a headset" in await browser.text("trouble")

    asyncio.run(session())
    assert served[1] == []


@needs_headset
def test_a_session_that_the_headset_refuses_is_told_and_can_be_tried_again(served):
    async def session():
        async with browse(served, "hand") as browser:
            await pair(browser)
            await browser.until("link.accepted")
            assert await browser.text("trouble") == ""
            await browser.do("window.real = navigator.xr.requestSession.bind(navigator.xr); 0")
            await browser.do("navigator.xr.requestSession = () => Promise.reject(new Error('headset is asleep')); 0")
            await browser.do("document.getElementById('start').click()")
            await browser.until("document.getElementById('trouble').textContent.includes('headset is asleep')")
            await browser.do("navigator.xr.requestSession = real; document.getElementById('start').click()")
            await arrived(served[1], 5)
            assert await browser.text("trouble") == "" and await browser.text("start") == "Stop"

    asyncio.run(session())
