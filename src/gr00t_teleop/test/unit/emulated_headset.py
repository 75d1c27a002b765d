# SPDX-License-Identifier: Apache-2.0
"""A headset that npm's package iwer emulates in each page of the browser."""

import os
import sys
from pathlib import Path

from headless_browser import NO_BROWSER

_FETCHED = sorted(Path(sys.prefix, "share", "iwer").glob("iwer-*.min.js"))  # by setup/browser.sh
_EMULATOR = Path(os.environ.get("GR00T_IWER") or (_FETCHED[-1] if _FETCHED else "iwer.min.js"))
MISSING = NO_BROWSER or (
    ""
    if _EMULATOR.is_file()
    else "no emulated headset here: setup/run.sh --dev fetches it (log/setup.log says why not), or name iwer.min.js in GR00T_IWER"
)
# Head and hands swing slowly; the numbers are those of the emulator's own space (y up).
_HEADSET = """
const device = new IWER.XRDevice(IWER.metaQuest3);
device.installRuntime({ forceInstall: true });
device.primaryInputMode = MODE;
window.emulated = device;
setInterval(() => {
  const t = performance.now() / 1000, inputs = [device.controllers, device.hands];
  device.position.set(0.05 * Math.sin(t), 1.6, 0);
  for (const input of inputs) {
    input.left.position.set(-0.25, 1.1 + 0.05 * Math.sin(2 * t), -0.4);
    input.right.position.set(0.25, 1.2 + 0.05 * Math.cos(2 * t), -0.5);
  }
}, 4);
"""

# This emulator calls the positions of its grips guessed. And a hand has a grip, too, as it would hold a controller: with
# `asGrip` the page is shown that alone. With `pinches` it is shown, beside the hands, what visionOS makes of their pinches.
_TRACKED_GRIPS = """
Object.defineProperty(XRPose.prototype, "emulatedPosition", { get: () => false });
window.asGrip = window.pinches = false;
const sources = Object.getOwnPropertyDescriptor(XRSession.prototype, "inputSources").get;
const withoutHand = (source) => Object.create(source, { hand: { value: null } });
const pinch = (source) => Object.create(withoutHand(source), { targetRayMode: { value: "transient-pointer" } });
Object.defineProperty(XRSession.prototype, "inputSources", {
  get() {
    const real = Array.from(sources.call(this));
    return asGrip ? real.map(withoutHand) : pinches ? [...real, ...real.map(pinch)] : real;
  },
});
"""


def emulated_headset(inputs: str, *, tracks_grips: bool = False) -> str:
    """The script that puts the headset into a page. inputs: 'hand' or 'controller'. tracks_grips: as real headsets do."""
    script = _EMULATOR.read_text() + _HEADSET.replace("MODE", repr(inputs))
    return script + _TRACKED_GRIPS if tracks_grips else script
