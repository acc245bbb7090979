// The history of the run: small plots over one time axis.

import { short, time } from "./numbers.js";

const LEFT = 46, RIGHT = 8, TOP = 6, BOTTOM = 18;
const PLOTS = [
  { name: "R-factor", lines: [["R", "r_middle", "one"]], band: ["r_low", "r_high"] },
  { name: "Photons per frame", lines: [["photons", "photons_middle", "one"]], band: ["photons_low", "photons_high"] },
  { name: "Hit rate", lines: [["hits", "hit_rate", "one"]], scale: 100, unit: " %", top: 100 },
  { name: "Frames per second", lines: [["in", "in_hz", "one"], ["out", "out_hz", "two"], ["dropped", "dropped_hz", "three"]] },
  { name: "Latency", lines: [["p50", "p50_s", "one"], ["p99", "p99_s", "two"]], scale: 1000, unit: " ms", logarithmic: true },
  { name: "Queue", lines: [["frames", "queued", "one"]] },
];

/** Make the plots' places in the page; returns a function that draws them from a message. */
export function makeHistory(place) {
  const drawn = PLOTS.map((plot) => {
    const figure = document.createElement("figure");
    const title = document.createElement("h3");
    title.append(plot.name);
    const values = plot.lines.map(([label, , tone]) => {
      const span = document.createElement("span");
      span.className = tone;
      title.append(span);
      return { label, span };
    });
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${plot.name}: nothing yet`);
    figure.append(title, canvas);
    place.append(figure);
    return { plot, canvas, values };
  });
  let last, at; // the newest message, and the row that is pointed at
  const draw = () => last && drawn.forEach((each) => drawPlot(each, last, at));
  const point = (row) => {
    if (row !== at) (at = row), draw();
  };
  for (const { canvas } of drawn) {
    canvas.addEventListener("pointermove", (event) => last && point(rowAt(canvas, event.offsetX, last.seconds)));
    canvas.addEventListener("pointerleave", () => point(undefined));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(draw).observe(place);
  return (message) => {
    last = columnsOf(message);
    if (at >= last.seconds.length) at = undefined;
    draw();
  };
}

function columnsOf({ columns, arrays }) {
  const [, count] = arrays.rows.shape;
  return Object.fromEntries(columns.map((name, i) => [name, arrays.rows.values.subarray(i * count, (i + 1) * count)]));
}

/** The row whose time is nearest to a place across a plot. */
function rowAt(canvas, x, seconds) {
  if (!seconds.length) return undefined;
  const share = (x - LEFT) / (canvas.clientWidth - LEFT - RIGHT);
  const wanted = seconds[0] + share * (seconds.at(-1) - seconds[0]);
  return seconds.reduce((best, s, i) => (Math.abs(s - wanted) < Math.abs(seconds[best] - wanted) ? i : best), 0);
}

function drawPlot({ plot, canvas, values }, data, at) {
  const { scale = 1, unit = "" } = plot;
  const row = at ?? data.seconds.length - 1;
  const newest = plot.lines.map(([, name]) => (row >= 0 ? data[name][row] * scale : NaN));
  values.forEach(({ label, span }, i) => (span.textContent = `${label} ${short(newest[i])}${Number.isFinite(newest[i]) ? unit : ""}`));
  canvas.setAttribute("aria-label", `${plot.name}: ${values.map(({ span }) => span.textContent).join(", ")}`);

  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width || !height) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const tone = (name) => style.getPropertyValue(`--${name}`).trim();
  const seconds = data.seconds;
  const begin = seconds.length ? seconds[0] : 0;
  const end = Math.max(seconds.length ? seconds.at(-1) : 0, begin + 1);
  const range = rangeOf(plot, data, scale);
  const across = (s) => LEFT + ((width - LEFT - RIGHT) * (s - begin)) / (end - begin);
  const share = plot.logarithmic ? (v) => Math.log(Math.max(v, range.low) / range.low) / Math.log(range.high / range.low) : (v) => (v - range.low) / (range.high - range.low);
  const up = (v) => TOP + (height - TOP - BOTTOM) * (1 - share(v));

  context.font = "11px system-ui, sans-serif";
  context.fillStyle = tone("faint");
  context.strokeStyle = tone("line");
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const tick of range.ticks) {
    const y = Math.round(up(tick)) + 0.5;
    line(context, [[LEFT, y], [width - RIGHT, y]]);
    context.fillText(short(tick), LEFT - 5, y);
  }
  context.textBaseline = "bottom";
  context.textAlign = "left";
  context.fillText(time(begin), LEFT, height);
  context.textAlign = "right";
  context.fillText(time(end), width - RIGHT, height);

  if (at !== undefined) {
    const x = Math.round(across(seconds[at])) + 0.5;
    line(context, [[x, TOP], [x, height - BOTTOM]]);
    context.textAlign = "center";
    context.fillText(time(seconds[at]), Math.min(Math.max(x, LEFT + 60), width - 80), height);
  }
  if (plot.band) {
    context.fillStyle = tone("one");
    context.globalAlpha = 0.22;
    for (const run of runsOf(seconds, data[plot.band[0]], data[plot.band[1]])) {
      context.beginPath();
      run.forEach(([s, low]) => context.lineTo(across(s), up(low * scale)));
      run.reverse().forEach(([s, , high]) => context.lineTo(across(s), up(high * scale)));
      context.fill();
    }
    context.globalAlpha = 1;
  }
  context.lineWidth = 1.6;
  context.lineJoin = "round";
  for (const [, name, colour] of plot.lines) {
    context.strokeStyle = context.fillStyle = tone(colour);
    for (const run of runsOf(seconds, data[name])) {
      const points = run.map(([s, v]) => [across(s), up(v * scale)]);
      if (points.length > 1) line(context, points);
      else context.fillRect(points[0][0] - 1, points[0][1] - 1, 2, 2);
    }
  }
}

function line(context, points) {
  context.beginPath();
  points.forEach(([x, y]) => context.lineTo(x, y));
  context.stroke();
}

/** Stretches without a gap, of [seconds, value, ...]. */
function runsOf(seconds, ...columns) {
  const runs = [];
  let open = null;
  seconds.forEach((s, i) => {
    if (!columns.every((column) => Number.isFinite(column[i]))) {
      open = null;
      return;
    }
    if (!open) runs.push((open = []));
    open.push([s, ...columns.map((column) => column[i])]);
  });
  return runs;
}

function rangeOf(plot, data, scale) {
  const names = [...plot.lines.map(([, name]) => name), ...(plot.band || [])];
  const known = names.flatMap((name) => [...data[name]]).filter(Number.isFinite).map((v) => v * scale);
  if (plot.logarithmic) {
    const positive = known.filter((v) => v > 0);
    const low = 10 ** Math.floor(Math.log10(Math.min(...positive, 10)));
    const high = 10 ** Math.ceil(Math.log10(Math.max(...positive, low * 10) * 1.0001));
    const ticks = [];
    for (let tick = low; tick <= high * 1.001; tick *= 10) ticks.push(tick);
    return { low, high, ticks };
  }
  const step = stepOf((plot.top ?? (Math.max(...known, 0) || 1)) / 3);
  const high = plot.top ?? Math.ceil((Math.max(...known, 0) || 1) / step - 1e-6) * step;
  const ticks = [];
  for (let tick = 0; tick <= high * 1.001; tick += step) ticks.push(tick);
  return { low: 0, high, ticks };
}

/** The next round number: 1, 2, 5, 10, ... */
function stepOf(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value * 0.999);
}
