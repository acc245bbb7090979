// The page of a live run: what the server sends, shown; what a person asks for, sent.

import { Connection } from "./connection.js";
import { Controls } from "./controls.js";
import { makeHistory } from "./curves.js";
import { count, short, time } from "./numbers.js";
import { paintAmplitude, paintHit, paintPattern, paintPhase, paintScales } from "./pictures.js";

const byId = (id) => document.getElementById(id);
const lasting = (seconds) => (seconds === null ? "–" : seconds < 10 ? `${short(seconds * 1000)} ms` : `${short(seconds)} s`);
const NUMBERS = [
  ["received", (m) => count(m.received)],
  ["phased", (m) => count(m.phased)],
  ["hit rate", (m) => (m.hit_rate === null ? "–" : `${short(m.hit_rate * 100)} %`)],
  ["in", (m) => `${short(m.rate_in_hz)} /s`],
  ["out", (m) => `${short(m.rate_out_hz)} /s`],
  ["latency p50", (m) => lasting(m.latency_p50_s)],
  ["latency p99", (m) => lasting(m.latency_p99_s)],
  ["queue", (m) => `${count(m.queued)} of ${count(m.queue_size)}`],
  ["dropped", (m) => count(m.dropped), (m) => m.dropped > 0],
  ["skipped", (m) => count(m.skipped)],
  ["damaged", (m) => count(m.damaged), (m) => m.damaged > 0],
  ["missing", (m) => count(m.missing), (m) => m.missing > 0],
];

let newest = null; // the last message of kind "now" that was shown
let waiting = null; // one that is to be shown with the next picture of the screen
let isEnded = false;

const cells = NUMBERS.map(([name]) => {
  const box = document.createElement("div"), term = document.createElement("dt"), value = document.createElement("dd");
  term.textContent = name;
  value.textContent = "–";
  box.append(term, value);
  byId("numbers").append(box);
  return { box, value };
});
const drawHistory = makeHistory(byId("history"));
paintScales();

const connection = new Connection({
  opened: () => say(""),
  refused: (why) => controls.answer(why, true),
  message: (message) => {
    if (message.kind === "history") drawHistory(message);
    else if (message.kind === "hits") showHits(message);
    else {
      if (!waiting) requestAnimationFrame(showWaiting);
      waiting = message;
      if (document.hidden) showState(message); // no animation frames in the background
    }
  },
  lost: ({ again, ended, why }) => {
    isEnded = ended || isEnded;
    controls.allow(false);
    document.body.classList.add("is-away");
    if (isEnded) {
      setState("ended", "ended");
      say(`The run has ended; these are its last results. A new run at this address appears by itself.`);
      document.body.classList.remove("is-away");
    } else {
      setState("disconnected", "disconnected");
      say(`Disconnected${why ? ` (${why})` : ""}: what you see is not live. Trying again ${again < 1000 ? "at once" : `every ${Math.round(again / 1000)} s`}.`);
    }
  },
});
const controls = new Controls((wish) => connection.say(wish));

function say(text) {
  if (byId("banner").textContent !== text) byId("banner").textContent = text;
  byId("banner").hidden = !text;
}

function setState(state, text) {
  if (byId("state").textContent !== text) byId("state").textContent = text;
  byId("state").className = state;
  document.title = state === "running" ? `${short(newest?.rate_out_hz)}/s – cdipipe live` : `${text} – cdipipe live`;
}

function showWaiting() {
  const message = waiting;
  waiting = null;
  showState(message);
  if (message.arrays.pattern && `${message.run} ${message.number}` !== shown) showPictures(message);
}

function showState(message) {
  newest = message;
  isEnded = message.state === "ended";
  document.body.classList.remove("is-away");
  document.body.classList.toggle("is-waiting", message.number < 0);
  setState(message.state, message.state);
  const text = `${message.method} on ${message.source}, ${time(message.seconds)}`;
  if (byId("about").textContent !== text) byId("about").textContent = text;
  controls.allow(!isEnded);
  controls.show(message);
  say(isEnded ? "The run has ended; these are its last results." : message.complaint);
  NUMBERS.forEach(([, textOf, isBad], i) => {
    const value = textOf(message);
    if (cells[i].value.textContent !== value) cells[i].value.textContent = value;
    cells[i].box.classList.toggle("bad", Boolean(isBad?.(message)));
  });
  const gaps = message.gaps.map(([first, last]) => (first === last ? first : `${first}–${last}`)).join(", ");
  byId("note").textContent = gaps ? `Last frame numbers that never came: ${gaps}.` : "";
}

let shown = ""; // run and frame of the pictures

function showPictures(message) {
  const { pattern, amplitude, phase } = message.arrays;
  shown = `${message.run} ${message.number}`;
  paintPattern(byId("pattern"), pattern);
  byId("pattern-low").textContent = short(message.pattern.low);
  byId("pattern-high").textContent = short(message.pattern.high);
  const frame = `frame ${count(message.number)}, ${short(message.photons)} photons, R ${short(message.r_factor)}`;
  byId("frame").textContent = frame;
  byId("pattern").setAttribute("aria-label", `pattern of ${frame}`);
  paintAmplitude(byId("amplitude"), amplitude);
  paintPhase(byId("phase"), phase, amplitude);
  byId("amplitude-high").textContent = short(message.object.high);
  byId("amplitude").setAttribute("aria-label", `amplitude of the object of ${frame}`);
  byId("phase").setAttribute("aria-label", `phase of the object of ${frame}`);
}

function showHits({ hits, arrays }) {
  const place = byId("hits");
  if (!hits.length) {
    const nothing = document.createElement("li");
    nothing.className = "nothing";
    nothing.textContent = "none yet";
    place.replaceChildren(nothing);
    return;
  }
  while (place.children.length > hits.length || place.querySelector(".nothing")) place.lastChild.remove();
  while (place.children.length < hits.length) {
    const item = document.createElement("li"), canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    item.append(canvas, document.createElement("div"));
    place.append(item);
  }
  hits.forEach((hit, i) => {
    const [canvas, text] = place.children[i].children;
    paintHit(canvas, i, arrays.amplitudes, arrays.phases);
    const frame = document.createElement("b");
    frame.textContent = count(hit.number);
    const facts = [`R ${short(hit.r_factor)}`, ...(hit.score === null ? [] : [`${(Math.round(hit.score * 10) / 10 || 0).toFixed(1)} σ`])];
    text.replaceChildren(frame, ...facts.flatMap((fact) => [document.createElement("br"), fact]));
    canvas.setAttribute("aria-label", `object of frame ${hit.number}, ${facts.join(", ")}`);
  });
}
