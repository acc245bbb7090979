// Numbers as people read them.

/** Three digits: 0.0312, 31.2, 3120, 31.2 k, 3.1e+12; a dash where not known. */
export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e12 || size < 1e-4) return value.toExponential(1);
  for (const [limit, name] of [[1e9, " G"], [1e6, " M"], [1e4, " k"]]) {
    if (size >= limit * 0.9995) return digits(value / (limit === 1e4 ? 1e3 : limit)) + name;
  }
  return digits(value);
}

function digits(value) {
  const after = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return String(Number(value.toFixed(after)));
}

/** A count, digits in groups of three. */
export function count(value) {
  return value === null || value === undefined ? "–" : value.toLocaleString("en").replaceAll(",", "\u202f");
}

/** 42 s, 3:07 min, 2:03:07 h. */
export function time(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const pair = (number) => String(number).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}:${pair(whole % 60)} min`;
  return `${Math.floor(whole / 3600)}:${pair(Math.floor(whole / 60) % 60)}:${pair(whole % 60)} h`;
}
