// SPDX-License-Identifier: Apache-2.0
// Sends head and hands of a WebXR session as binary frames (layout: webxr_frame.py), and shows whether the robot follows.
"use strict";

const FORMAT = 2, HEADER = 12, MATRIX = 16, JOINTS = 25;
const FLOATS = HEADER + MATRIX * (3 + 2 * JOINTS);
const WRIST = 1, GRIP = 2; // whose axes they are
const RECONNECT_MS = 1000;
const COLOURS = { on: [0, 0.35, 0.1], off: [0.2, 0.2, 0.2], bad: [0.5, 0, 0] };

const byId = (id) => document.getElementById(id);
const frame = new Float32Array(FLOATS);
const link = { socket: null, code: "", accepted: false, refused: false, engaged: false };
const xr = { session: null, space: null, epoch: 0, sequence: 0, skipped: 0, gl: null };
const keys = { used: false, held: false };

function show(id, kind, text) {
  const element = byId(id);
  element.className = `state ${kind}`;
  element.textContent = text;
}

function connect() {
  if (link.socket) { link.socket.onclose = null; link.socket.close(); }
  const socket = new WebSocket(`wss://${location.host}/connection`);
  socket.binaryType = "arraybuffer";
  link.socket = socket;
  link.accepted = link.refused = false;
  show("connection", "off", "connecting");
  socket.onopen = () => socket.send(JSON.stringify({ type: "hello", protocol: FORMAT, code: link.code }));
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = (event) => closed(event);
}

function receive(message) {
  if (message.type === "accepted") {
    link.accepted = true;
    show("connection", "on", "connected");
    byId("start").disabled = false;
  } else if (message.type === "refused") {
    link.refused = true;
    show("connection", "bad", `refused: ${message.reason}`);
  } else if (message.type === "state") {
    link.engaged = message.engaged;
    show("driving", message.engaged ? "on" : "off", message.text);
    byId("details").textContent = `${xr.sequence} samples, ${message.lost} lost, ${xr.skipped} not sent (slow network)`;
  }
}

function closed(event) {
  link.accepted = link.engaged = false;
  show("driving", "off", "not driving");
  if (link.refused) return; // a person must act
  show("connection", "bad", `connection lost${event.reason ? `: ${event.reason}` : ""}; trying again`);
  setTimeout(connect, RECONNECT_MS);
}

// What the person must change stays in sight until it is changed; the two states above it are overwritten twice a second.
function trouble(text) { byId("trouble").textContent = text; }

// The kind of session this browser has, the one that shows the room first; null, and said so: it has none.
async function immersive() {
  for (const mode of navigator.xr ? ["immersive-ar", "immersive-vr"] : []) {
    if (await navigator.xr.isSessionSupported(mode)) return mode;
  }
  trouble("this browser has no WebXR with a headset: open the whole address of this page in the browser of a headset");
  return null;
}

async function start() {
  if (xr.session) { await xr.session.end(); return; }
  trouble("");
  const mode = await immersive();
  if (!mode) return;
  let session = null;
  try {
    session = await navigator.xr.requestSession(mode, {
      requiredFeatures: ["local-floor"], optionalFeatures: ["hand-tracking"],
    });
    await begin(session);
  } catch (error) {
    trouble(`the headset does not start a session: ${error.message}`);
    if (session) await session.end();
  }
}

async function begin(session) {
  const canvas = byId("canvas");
  xr.gl = canvas.getContext("webgl2", { xrCompatible: true }) || canvas.getContext("webgl", { xrCompatible: true });
  session.updateRenderState({ baseLayer: new XRWebGLLayer(session, xr.gl) });
  xr.space = await session.requestReferenceSpace("local-floor");
  xr.space.addEventListener("reset", () => { xr.epoch += 1; });
  session.addEventListener("end", () => { xr.session = null; byId("start").textContent = "Start"; });
  xr.session = session;
  xr.epoch += 1;
  byId("start").textContent = "Stop";
  session.requestAnimationFrame(everyFrame);
}

function everyFrame(_, xrFrame) {
  const session = xrFrame.session;
  session.requestAnimationFrame(everyFrame);
  paint(session);
  const viewer = xrFrame.getViewerPose(xr.space);
  xr.sequence += 1;
  if (session.visibilityState !== "visible" || !link.accepted || link.socket.readyState !== WebSocket.OPEN) return;
  if (link.socket.bufferedAmount > frame.byteLength) { xr.skipped += 1; return; } // newest only: never queue
  fill(xrFrame, session, viewer);
  link.socket.send(frame);
}

function fill(xrFrame, session, viewer) {
  const now = performance.now();
  frame.fill(0, 0, HEADER);
  frame[0] = FORMAT;
  frame[1] = xr.sequence;
  frame[2] = Math.floor(now / 1000);
  frame[3] = now % 1000;
  frame[4] = xr.epoch;
  if (viewer && !viewer.emulatedPosition) {
    frame[6] = 1;
    frame.set(viewer.transform.matrix, HEADER);
  }
  let buttons = keys.used, held = keys.held;
  for (const source of session.inputSources) {
    const side = { left: 0, right: 1 }[source.handedness];
    // Beside the hands it shows, visionOS makes a pointer of each pinch, whose grip is where the fingers meet: no controller.
    if (side === undefined || source.targetRayMode === "transient-pointer") continue;
    if (source.hand) {
      fillHand(xrFrame, source.hand, side);
    } else if (source.gripSpace) {
      fillWrist(xrFrame.getPose(source.gripSpace, xr.space), side, GRIP);
      buttons = true;
      held = held || Boolean(source.gamepad && source.gamepad.buttons[1] && source.gamepad.buttons[1].pressed);
    }
  }
  frame[5] = buttons ? Number(held) : NaN;
}

function fillWrist(pose, side, kind) {
  if (!pose || pose.emulatedPosition) return false;
  frame[7 + side] = kind;
  frame.set(pose.transform.matrix, HEADER + MATRIX * (1 + side));
  return true;
}

function fillHand(xrFrame, hand, side) {
  const seen = fillWrist(xrFrame.getJointPose(hand.get("wrist"), xr.space), side, WRIST);
  const first = HEADER + MATRIX * (3 + side * JOINTS);
  if (seen && xrFrame.fillPoses(hand.values(), xr.space, frame.subarray(first, first + MATRIX * JOINTS))) frame[9 + side] = 1;
}

function paint(session) {
  const layer = session.renderState.baseLayer, gl = xr.gl;
  const colour = COLOURS[!link.accepted ? "bad" : link.engaged ? "on" : "off"];
  const alpha = session.environmentBlendMode === "opaque" ? 1 : 0.15;
  gl.bindFramebuffer(gl.FRAMEBUFFER, layer.framebuffer);
  gl.clearColor(...colour.map((part) => part * alpha), alpha);
  gl.clear(gl.COLOR_BUFFER_BIT);
}

function key(event, held) {
  if (event.code !== "Space" || event.target === byId("code")) return;
  event.preventDefault();
  keys.used = true;
  keys.held = held;
}

byId("pair").addEventListener("submit", (event) => {
  event.preventDefault();
  link.code = byId("code").value.trim();
  connect();
});
byId("start").addEventListener("click", start);
addEventListener("keydown", (event) => key(event, true));
addEventListener("keyup", (event) => key(event, false));
addEventListener("blur", () => { keys.held = false; });
immersive(); // without a headset, say so before the person looks for the code
