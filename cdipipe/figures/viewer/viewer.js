// Slices of arrays on canvases that share place and zoom, values under the pointer, and surfaces that turn.
"use strict";
(() => {
  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const unpacked = async text => new Uint8Array(await new Response(
    new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
  const UNKNOWN = 65535, GREY = 180, LARGEST_ZOOM = 40;
  const make = (kind, parent, set = {}) => parent.appendChild(Object.assign(document.createElement(kind), set));
  const shown = value => value === 0 ? "0" : Math.abs(value) >= 1e4 || Math.abs(value) < 1e-2
    ? value.toExponential(3) : value.toPrecision(4);

  const colours = {};
  const tableOf = (shared, name) => colours[name] ??= bytes(shared.colours[name]);
  const gradient = table => "linear-gradient(to right," + Array.from({length: 17}, (_, k) => {
    const at = 3 * Math.min(255, 16 * k); return `rgb(${table[at]},${table[at + 1]},${table[at + 2]})`; }) + ")";

  function valueOf(panel, index) {
    const step = panel.steps[index];
    return step === UNKNOWN ? NaN : panel.low + step / (UNKNOWN - 1) * (panel.high - panel.low);
  }

  function hue(angle, brightness) {   // HSV with full saturation
    const h = (angle / (2 * Math.PI) * 6 + 6) % 6, part = k => {
      const t = (k + h) % 6; return 255 * brightness * (1 - Math.max(0, Math.min(t, 4 - t, 1))); };
    return [part(5), part(3), part(1)];
  }

  function colourOf(view, panel, index, shared) {
    if (panel.of) {
      const [amplitude, phase] = panel.of.map(k => view.panels[k]);
      const angle = valueOf(phase, index), top = amplitude.limits[1];
      const brightness = Math.min(1, valueOf(amplitude, index) / top);
      return isNaN(angle) ? [0, 0, 0] : hue(angle, brightness);
    }
    const value = valueOf(panel, index), table = tableOf(shared, panel.colours), [low, high] = panel.limits;
    if (isNaN(value)) return [GREY, GREY, GREY];
    const at = 3 * Math.round(255 * Math.max(0, Math.min(1, (value - low) / (high - low))));
    return [table[at], table[at + 1], table[at + 2]];
  }

  async function slices(root, view, shared) {
    for (const panel of view.panels) if (panel.data) {
      const raw = await unpacked(panel.data);
      panel.steps = new Uint16Array(raw.buffer); panel.data = null;
    }
    const axes = view.axes, strides = axes.map((_, k) => axes.slice(k + 1).reduce((n, a) => n * a.size, 1));
    const frames = axes[0].labels ? [0] : [], places = axes.map((_, k) => k).filter(k => !frames.includes(k));
    const at = axes.map(a => a.labels ? 0 : Math.max(0, Math.min(a.size - 1, a.zero)));
    let rows = places[places.length - 2], columns = places[places.length - 1];
    let zoom = 1, centre = [0.5, 0.5], pointer = null;

    const controls = make("div", root, {className: "controls"});
    const value = make("output", root, {className: "value", textContent: "Point at a picture to read its values."});
    const panels = make("div", root, {className: "panels"});

    const canvases = view.panels.map(panel => {
      const box = make("div", panels, {className: "panel"});
      make("b", box, {textContent: panel.title});
      const canvas = make("canvas", box, {width: 480, height: 480, tabIndex: 0});
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", panel.title + "; plus and minus zoom, arrow keys move, 0 shows all");
      if (!panel.of) {
        const bar = make("div", box, {className: "bar"});
        make("span", bar, {textContent: shown(panel.limits[0])});
        make("i", bar).style.background = gradient(tableOf(shared, panel.colours));
        make("span", bar, {textContent: `${shown(panel.limits[1])} ${panel.unit}`});
      }
      return canvas;
    });
    const picture = document.createElement("canvas");

    const across = axis => axes[axis].size * axes[axis].step;
    // side of the square that is shown, in the unit of length, and its corner
    const window_ = () => {
      const side = Math.max(across(rows), across(columns)) / zoom;
      return {side, top: centre[0] * across(rows) - side / 2, left: centre[1] * across(columns) - side / 2};
    };

    function draw() {
      const high = axes[rows].size, wide = axes[columns].size, seen = window_();
      const base = at.reduce((sum, n, k) => sum + (k === rows || k === columns ? 0 : n * strides[k]), 0);
      picture.width = wide; picture.height = high;
      const pencil = picture.getContext("2d"), image = pencil.createImageData(wide, high);
      view.panels.forEach((panel, number) => {
        for (let r = 0, to = 0; r < high; r++) for (let c = 0; c < wide; c++, to += 4) {
          image.data.set(colourOf(view, panel, base + r * strides[rows] + c * strides[columns], shared), to);
          image.data[to + 3] = 255;
        }
        pencil.putImageData(image, 0, 0);
        const canvas = canvases[number], context = canvas.getContext("2d"), scale = canvas.width / seen.side;
        context.imageSmoothingEnabled = false;
        context.fillStyle = `rgb(${GREY},${GREY},${GREY})`;
        context.fillRect(0, 0, canvas.width, canvas.height);
        context.drawImage(picture, -seen.left * scale, -seen.top * scale, across(columns) * scale, across(rows) * scale);
      });
      read();
    }

    function read() {
      if (!pointer) return;
      const seen = window_();
      const r = Math.floor((seen.top + pointer[1] * seen.side) / axes[rows].step);
      const c = Math.floor((seen.left + pointer[0] * seen.side) / axes[columns].step);
      if (r < 0 || c < 0 || r >= axes[rows].size || c >= axes[columns].size) { value.textContent = " "; return; }
      const index = at.reduce((sum, n, k) => sum + (k === rows ? r : k === columns ? c : n) * strides[k], 0);
      const where = places.map(k => {
        const n = k === rows ? r : k === columns ? c : at[k];
        return `${axes[k].name} ${shown((n - axes[k].zero) * axes[k].step)}`;
      });
      const told = view.panels.filter(p => !p.of).map(p => {
        const v = valueOf(p, index); return `${p.title} ${isNaN(v) ? "not known" : `${shown(v)} ${p.unit}`}`;
      });
      value.textContent = `${where.join(", ")} ${axes[rows].unit}: ${told.join("; ")}`;
    }

    function move(by, to = null) {
      const before = window_();
      zoom = Math.max(1, Math.min(LARGEST_ZOOM, zoom * by));
      if (to) {   // what lies under the pointer stays there
        const after = Math.max(across(rows), across(columns)) / zoom, gone = before.side - after;
        centre[0] += (to[1] - 0.5) * gone / across(rows); centre[1] += (to[0] - 0.5) * gone / across(columns);
      }
      keep(); draw();
    }
    const keep = () => { centre = centre.map(v => zoom === 1 ? 0.5 : Math.max(0, Math.min(1, v))); };
    const shift = (down, right) => {
      const {side} = window_();
      centre[0] += down * side / across(rows); centre[1] += right * side / across(columns); keep(); draw();
    };
    const all = () => { zoom = 1; centre = [0.5, 0.5]; draw(); };

    const held = new Map();
    canvases.forEach(canvas => {
      const place = event => {
        const box = canvas.getBoundingClientRect();
        return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      };
      canvas.addEventListener("pointerdown", e => { canvas.setPointerCapture(e.pointerId); held.set(e.pointerId, place(e)); });
      canvas.addEventListener("pointermove", e => {
        pointer = place(e);
        const before = held.get(e.pointerId);
        if (before && held.size === 2) {
          const other = [...held].find(([id]) => id !== e.pointerId)[1];
          const far = p => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1e-3;
          held.set(e.pointerId, pointer); move(far(pointer) / far(before), other); return;
        }
        if (before) { held.set(e.pointerId, pointer); shift(before[1] - pointer[1], before[0] - pointer[0]); return; }
        read();
      });
      for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, e => held.delete(e.pointerId));
      canvas.addEventListener("dblclick", e => move(2, place(e)));
      canvas.addEventListener("wheel", e => {
        if (!e.ctrlKey && document.activeElement !== canvas) return;   // the page scrolls, unless a picture was chosen
        e.preventDefault(); move(Math.exp(-e.deltaY / 300), place(e));
      }, {passive: false});
      canvas.addEventListener("keydown", e => {
        const way = {"+": () => move(1.5), "=": () => move(1.5), "-": () => move(1 / 1.5), "0": all,
          ArrowUp: () => shift(-0.1, 0), ArrowDown: () => shift(0.1, 0),
          ArrowLeft: () => shift(0, -0.1), ArrowRight: () => shift(0, 0.1)}[e.key];
        if (way) { e.preventDefault(); way(); }
      });
    });

    const button = (text, name, act) => make("button", controls, {type: "button", textContent: text, title: name,
      ariaLabel: name, onclick: act});
    if (places.length === 3) {
      const label = make("label", controls, {textContent: "plane "});
      const chosen = make("select", label, {autocomplete: "off"});
      for (const [r, c] of [[1, 2], [0, 2], [0, 1]]) make("option", chosen,
        {value: `${r} ${c}`, textContent: `${axes[places[c]].name}${axes[places[r]].name}`});
      chosen.onchange = () => { [rows, columns] = chosen.value.split(" ").map(k => places[k]); all(); sliders(); };
    }
    const box = make("span", controls);
    function sliders() {
      box.replaceChildren();
      axes.forEach((axis, k) => {
        if (k === rows || k === columns || axis.size < 2) return;
        const label = make("label", box, {textContent: `${axis.name} `});
        const slider = make("input", label, {type: "range", min: 0, max: axis.size - 1, value: at[k], autocomplete: "off"});
        const says = make("output", label);
        const say = () => { says.textContent = axis.labels ? ` ${axis.labels[at[k]]}`
          : ` ${shown((at[k] - axis.zero) * axis.step)} ${axis.unit}`; };
        slider.addEventListener("input", () => { at[k] = slider.valueAsNumber; say(); draw(); });
        say();
      });
    }
    button("+", "zoom in", () => move(1.5)); button("−", "zoom out", () => move(1 / 1.5)); button("all", "show all", all);
    sliders(); draw();
  }

  function surfaces(root, view, shared) {
    const box = make("div", root, {className: "surfaces"}), controls = make("div", box, {className: "controls"});
    make("span", controls, {textContent: "Surface to turn, coloured by"});
    let frame = null, bar = null;
    for (const surface of view.surfaces) make("button", controls, {type: "button", textContent: surface.title,
      onclick: async () => {
        const page = new TextDecoder().decode(await unpacked(shared.turntable.page));
        frame?.remove(); bar?.remove();
        frame = make("iframe", box, {title: `surface coloured by ${surface.title}`,
          srcdoc: page.replace(shared.turntable.mesh, () => surface.data)});
        bar = make("div", box, {className: "bar"});
        make("span", bar, {textContent: shown(surface.limits[0])});
        make("i", bar).style.background = gradient(tableOf(shared, surface.colours));
        make("span", bar, {textContent: `${shown(surface.limits[1])} ${surface.unit}`});
      }});
  }

  // A view is made when it is first seen: a page may hold many.
  const shared = JSON.parse(document.querySelector("#view-shared").textContent);
  document.querySelectorAll(".view").forEach(root => {
    let done = false;
    const show = async () => {
      if (done) return;
      done = true;
      const view = JSON.parse(root.querySelector("script").textContent);
      await slices(root, view, shared);
      if (view.surfaces.length) surfaces(root, view, shared);
      root.dataset.ready = "yes";
    };
    const folded = root.closest("details");
    if (!folded || folded.open) show(); else folded.addEventListener("toggle", show, {once: true});
  });
})();
