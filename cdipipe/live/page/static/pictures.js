// Patterns and objects, coloured. Byte codes: cdipipe/live/page/pictures.py.

import { AMPLITUDE, PATTERN, PHASE } from "./colours.js";

const UNMEASURED = [128, 128, 128];
const HIDDEN_BELOW = 26; // phase of less than a tenth of the amplitude is noise

function paint(canvas, [height, width], colour) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) colour(i, image.data, 4 * i);
  context.putImageData(image, 0, 0);
}

function put(pixels, at, table, code, alpha = 255) {
  pixels[at] = table[3 * code];
  pixels[at + 1] = table[3 * code + 1];
  pixels[at + 2] = table[3 * code + 2];
  pixels[at + 3] = alpha;
}

export function paintPattern(canvas, { shape, values }) {
  paint(canvas, shape, (i, pixels, at) => (values[i] ? put(pixels, at, PATTERN, values[i]) : put(pixels, at, UNMEASURED, 0)));
}

export function paintAmplitude(canvas, { shape, values }) {
  paint(canvas, shape, (i, pixels, at) => put(pixels, at, AMPLITUDE, values[i]));
}

export function paintPhase(canvas, { shape, values }, amplitude) {
  paint(canvas, shape, (i, pixels, at) => put(pixels, at, PHASE, values[i], amplitude.values[i] < HIDDEN_BELOW ? 0 : 255));
}

/** The object of one hit of a stack: phase as colour, amplitude as brightness. */
export function paintHit(canvas, index, amplitudes, phases) {
  const shape = amplitudes.shape.slice(1);
  const begin = index * shape[0] * shape[1];
  paint(canvas, shape, (i, pixels, at) => put(pixels, at, PHASE, phases.values[begin + i], amplitudes.values[begin + i]));
}

/** The three scales, once. */
export function paintScales() {
  for (const [name, table] of [["pattern", PATTERN], ["amplitude", AMPLITUDE], ["phase", PHASE]]) {
    paint(document.getElementById(`${name}-bar`), [1, 256], (i, pixels, at) => put(pixels, at, table, i));
  }
}
