"use strict";
// Charts as inline SVG: axes, curves with bands, points with error bars, guides, heat maps; zoom, values, downloads.
// Charts.lines(host, spec, group) and Charts.heat(host, spec) draw into an element and keep to its width.
// Charts.change(chart, { series, guides, xs }) draws others in the same chart; Charts.emphasise(chart, s) sets one curve off.

const Charts = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const DASHES = ["", "6 3", "2 3", "9 3 2 3", "4 2", "1 2", "12 4", "7 2 2 2 2 2"];
  const COLOURS = 8;
  // What an exported figure looks like; the page has the same names for light and dark.
  const PAPER = {
    "--page": "#ffffff", "--ink": "#1c1f23", "--muted": "#5c636b", "--grid": "#e6e8eb", "--axis": "#a6acb3",
    "--c0": "#0b62a8", "--c1": "#c04a00", "--c2": "#00795a", "--c3": "#84379a", "--c4": "#7d6000", "--c5": "#55595e",
    "--c6": "#b0246b", "--c7": "#00748a",
  };
  const STYLE = `
    .chart text { font: 11px system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: var(--ink); }
    .chart .title { font-size: 13px; font-weight: 600; }
    .chart .small, .chart .tick, .chart .guide-label { fill: var(--muted); }
    .chart .guide-label { paint-order: stroke; stroke: var(--page); stroke-width: 3px; stroke-linejoin: round; }
    .chart .grid { stroke: var(--grid); }
    .chart .axis { stroke: var(--axis); }
    .chart .guide { stroke: var(--muted); stroke-dasharray: 1 3; fill: none; stroke-linecap: round; stroke-width: 1.3; }
    .chart .curve { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
    .chart .strong { stroke-width: 3; }
    .chart .band { stroke: none; opacity: 0.18; }
    .chart .whisker { stroke-width: 1; opacity: 0.55; }
    .chart .point { stroke-width: 1.4; }
    .chart .hollow { fill: var(--page); opacity: 0.75; }
    .chart .cursor { stroke: var(--axis); }
    .chart .brush { fill: var(--c0); opacity: 0.12; }
    .chart .cell-bold { fill: var(--page); }`;

  // ---- small things -------------------------------------------------------------------------------------------------

  function element(name, attributes, parent) {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    if (parent) parent.appendChild(node);
    return node;
  }

  const parts = (text) => String(text).split(/(?<=[λΛ])(_[\p{L}\d]+)/u).filter(Boolean);
  const isLow = (part) => /^_[\p{L}\d]+$/u.test(part);

  // Text whose words behind λ_ and Λ_ are set low.
  function write(parent, text, attributes) {
    const node = element("text", attributes, parent);
    let low = false;
    for (const part of parts(text)) {
      const sub = isLow(part);
      const span = element("tspan", {}, node);
      if (sub) { span.setAttribute("dy", "3"); span.setAttribute("font-size", "80%"); }
      else if (low) span.setAttribute("dy", "-3");
      span.textContent = sub ? part.slice(1) : part;
      low = sub;
    }
    return node;
  }

  // The same outside a chart.
  const lowered = (text) => parts(text).map((part) => {
    if (!isLow(part)) return part;
    const sub = document.createElement("sub");
    sub.textContent = part.slice(1);
    return sub;
  });

  const pen = document.createElement("canvas").getContext("2d");
  function widthOf(text, size) {
    const plain = String(text).replace(/_/g, "");
    if (!pen) return plain.length * (size || 11) * 0.58;
    pen.font = `${size || 11}px system-ui, sans-serif`;
    return pen.measureText(plain).width;
  }

  const finite = (value) => typeof value === "number" && Number.isFinite(value);
  const round = (value) => Math.round(value * 100) / 100;

  // A number in at most four significant digits.
  function number(value) {
    if (!finite(value)) return "";
    const size = Math.abs(value);
    let text;
    if (size === 0) text = "0";
    else if (size >= 1e5 || size < 1e-3) text = value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
    else text = String(Number(value.toPrecision(4)));
    return text.replace(/-/g, "−");
  }

  // ---- scales -------------------------------------------------------------------------------------------------------

  function scale(low, high, from, to, log) {
    const map = log ? Math.log10 : (value) => value;
    const a = map(low), b = map(high);
    const at = (value) => from + (to - from) * (map(value) - a) / (b - a);
    const back = (place) => { const value = a + (b - a) * (place - from) / (to - from); return log ? 10 ** value : value; };
    return { low, high, log, at, back, ticks: log ? logTicks(low, high) : linearTicks(low, high, Math.abs(to - from) / (to < from ? 34 : 60)) };
  }

  function linearTicks(low, high, room) {
    const rough = (high - low) / Math.max(2, Math.min(8, room));
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9 && ticks.length < 20; i++) ticks.push(Number((i * step).toPrecision(10)));
    return ticks;
  }

  function logTicks(low, high) {
    const decades = Math.log10(high / low);
    const factors = decades > 4 ? [1] : decades > 1.6 ? [1, 3] : decades > 0.7 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
    const every = Math.max(1, Math.ceil(decades / 8));
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      if (decades > 4 && power % every !== 0) continue;
      for (const factor of factors) {
        const tick = Number((factor * 10 ** power).toPrecision(6));
        if (tick >= low * 0.9999 && tick <= high * 1.0001) ticks.push(tick);
      }
    }
    return ticks;
  }

  // The ends of an axis with some room; a single value gets room on both sides.
  function ends(values, log, room) {
    let low = Infinity, high = -Infinity;
    for (const value of values) if (finite(value) && (!log || value > 0)) { low = Math.min(low, value); high = Math.max(high, value); }
    if (low > high) return log ? [0.1, 1] : [0, 1];
    if (log) {
      const factor = Math.max((high / low) ** room, low === high ? 1.5 : 1.0001);
      return [low / factor, high * factor];
    }
    if (low === high) { const pad = Math.abs(low) * 0.3 || 1; return [low > 0 ? 0 : low - pad, low < 0 ? 0 : high + pad]; }
    const pad = (high - low) * room;
    return [low >= 0 && low < 0.25 * high ? 0 : low - pad, high + pad];
  }

  // ---- marks --------------------------------------------------------------------------------------------------------

  const MARKS = [
    (x, y, r) => `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0Z`,
    (x, y, r) => `M${x - r},${y - r}h${2 * r}v${2 * r}h${-2 * r}Z`,
    (x, y, r) => `M${x},${y - 1.2 * r}L${x + 1.1 * r},${y + 0.9 * r}H${x - 1.1 * r}Z`,
    (x, y, r) => `M${x},${y - 1.3 * r}L${x + 1.3 * r},${y}L${x},${y + 1.3 * r}L${x - 1.3 * r},${y}Z`,
    (x, y, r) => `M${x},${y + 1.2 * r}L${x + 1.1 * r},${y - 0.9 * r}H${x - 1.1 * r}Z`,
    (x, y, r) => `M${x - r},${y - r / 3}h${2 * r / 3}v${-2 * r / 3}h${2 * r / 3}v${2 * r / 3}h${2 * r / 3}v${2 * r / 3}h${-2 * r / 3}v${2 * r / 3}h${-2 * r / 3}v${-2 * r / 3}h${-2 * r / 3}Z`,
    (x, y, r) => `M${x - r},${y}L${x},${y - r}L${x + r},${y}L${x + r},${y + r}H${x - r}Z`,
    (x, y, r) => `M${x - r},${y + r}V${y - r}L${x + r},${y}Z`,
  ];
  const mark = (kind, x, y, r) => MARKS[kind % MARKS.length](round(x), round(y), r);
  const colour = (index) => `var(--c${index % COLOURS})`;

  // ---- a chart of curves and points ---------------------------------------------------------------------------------

  // spec: title, subtitle, file, xLabel, yLabel, xLog, yLog (true, false or "auto"), height, series, guides, marks.
  // A series: name, x, y, e (half of an error bar or of a band), colour, dash, mark, line, hollow[], labels[], runs[].
  // A guide: { at } a level, { factor } the line y = factor·x, or { path: [[x, y], …] }; each with label.
  // A mark: { x, label } at the upper end.
  // A group of charts shares a range of x and a cursor: { range, charts }.
  function lines(host, spec, group) {
    const shared = group || { range: null, charts: [] };
    const chart = { spec, host, group: shared, points: pointsOf(spec) };
    // A figure that leaves the page takes along the legend that stands beside it here.
    const whole = (act) => {
      chart.whole = true;
      chart.draw();
      const done = act();
      chart.whole = false;
      chart.draw();
      return done;
    };
    const figure = frame(host, spec, () => lineRows(spec), () => { shared.range = null; redraw(shared); }, whole);
    Object.assign(chart, figure);
    const toggle = button(figure.tools, "log", () => { chart.logged = !chart.y.log; chart.draw(); });
    chart.tellScale = () => { toggle.textContent = chart.y.log ? "linear" : "log"; toggle.setAttribute("aria-label", `${toggle.textContent} vertical axis`); };
    shared.charts.push(chart);
    chart.draw = () => drawLines(chart);
    listen(chart);
    keepToWidth(chart);
    return chart;
  }

  // Other series in the same place.
  function change(chart, other) {
    Object.assign(chart.spec, other);
    Object.assign(chart, { points: pointsOf(chart.spec), current: null });
    chart.tip.hidden = true;
    chart.draw();
  }

  const redraw = (group) => group.charts.forEach((chart) => chart.draw());

  function pointsOf(spec) {
    const points = [];
    spec.series.forEach((series, s) => series.x.forEach((x, i) => {
      if (finite(x) && finite(series.y[i])) points.push({ s, i, x, y: series.y[i], e: series.e && series.e[i] });
    }));
    return points;
  }

  function drawLines(chart) {
    const { spec, host, svg } = chart;
    const width = Math.max(260, Math.floor(host.clientWidth || 640));
    const direct = spec.direct && width >= 320 && spec.direct < 0.45 * width;
    const box = { left: 50, right: direct ? width - spec.direct : width - 14 };
    clear(svg);
    let top = heading(svg, spec, width);
    if (!direct && (chart.whole || !spec.legendAside || !spec.legendAside())) top = legend(svg, spec, width, top);
    box.top = top + 6;
    box.bottom = box.top + (spec.height || 150);
    const height = box.bottom + 36;
    sized(svg, width, height);
    const range = chart.group.range;
    const seen = chart.points.filter((point) => !range || (point.x >= range[0] && point.x <= range[1]));
    const xs = range || whole(chart);
    const logarithmic = chart.logged === undefined ? (spec.yLog === "auto" ? spread(seen) > 30 : Boolean(spec.yLog)) : chart.logged;
    const x = scale(xs[0], xs[1], box.left, box.right, spec.xLog);
    const [low, high] = vertical(spec, seen, logarithmic);
    const y = scale(low, high, box.bottom, box.top, logarithmic);
    Object.assign(chart, { box, x, y, width, height });
    axes(chart);
    const inside = clip(chart);
    guides(chart, inside, direct);
    spec.series.forEach((series) => drawSeries(chart, inside, series));
    (spec.marks || []).forEach((m) => divergence(chart, m));
    if (direct) endLabels(chart);
    clear(chart.cursor);
    sized(chart.cursor, width, height);
    chart.reset.hidden = !range;
    chart.tellScale();
  }

  // All of the horizontal axis: charts of a group have the same one.
  function whole({ spec, points }) {
    const xs = spec.xs || points.map((point) => point.x);
    return ends(xs.concat((spec.marks || []).map((m) => m.x)), spec.xLog, spec.line ? 0 : 0.06);
  }

  function spread(points) {
    let low = Infinity, high = 0;
    for (const { y } of points) { if (y <= 0) return 0; low = Math.min(low, y); high = Math.max(high, y); }
    return high / low;
  }

  // Levels far above all values do not squeeze these: they are named at the upper end.
  function vertical(spec, seen, log) {
    const values = settled(spec, seen).map((point) => point.y);
    const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
    const errors = settled(spec, seen).filter((p) => finite(p.e) && p.e < 3 * Math.abs(p.y) + 1e-12).flatMap((p) => [p.y - p.e, p.y + p.e]);
    const levels = (spec.guides || []).filter((guide) => finite(guide.at) && guide.at <= (log ? 30 : 3) * top).map((guide) => guide.at);
    return ends(values.concat(errors, levels, spec.zero && !log ? [0] : []), log, 0.07);
  }

  // What has a wild beginning is drawn to the scale of the rest; the beginning may leave the chart.
  function settled(spec, seen) {
    if (!spec.wild || seen.length < 10) return seen;
    const reach = (points, axis) => { let low = Infinity, high = -Infinity; for (const point of points) { low = Math.min(low, point[axis]); high = Math.max(high, point[axis]); } return high - low; };
    const first = seen.reduce((least, point) => Math.min(least, point.x), Infinity), from = first + 0.2 * reach(seen, "x");
    const later = seen.filter((point) => point.x >= from);
    return later.length && reach(seen, "y") > 4 * reach(later, "y") && reach(later, "y") > 0 ? later : seen;
  }

  function axes({ svg, spec, x, y, box }) {
    const layer = element("g", {}, svg);
    for (const tick of y.ticks) {
      const at = round(y.at(tick));
      element("line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at }, layer);
      write(layer, number(tick), { class: "tick", x: box.left - 6, y: at + 3.5, "text-anchor": "end" });
    }
    let free = -Infinity;
    for (const tick of x.ticks) {
      const at = round(x.at(tick)), half = widthOf(number(tick)) / 2;
      element("line", { class: "axis", x1: at, x2: at, y1: box.bottom, y2: box.bottom + 4 }, layer);
      if (at - half < free + 6) continue;
      free = at + half;
      write(layer, number(tick), { class: "tick", x: at, y: box.bottom + 16, "text-anchor": "middle" });
    }
    element("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }, layer);
    write(layer, spec.xLabel, { class: "small", x: box.right, y: box.bottom + 30, "text-anchor": "end" });
  }

  let clips = 0;
  function clip(chart) {
    const { svg, box } = chart;
    const id = `clip-${clips += 1}`;
    chart.clip = id;
    const path = element("clipPath", { id }, element("defs", {}, svg));
    element("rect", { x: box.left, y: box.top - 4, width: box.right - box.left + 1, height: box.bottom - box.top + 8 }, path);
    return element("g", { "clip-path": `url(#${id})` }, svg);
  }

  function guides(chart, inside, direct) {
    const { svg, spec, x, y, box } = chart;
    for (const guide of spec.guides || []) {
      if (guide.path) {
        const d = pathOf(guide.path.map((p) => p[0]), guide.path.map((p) => p[1]), x, y);
        element("path", { class: "curve", d, stroke: colour(guide.colour || 0), "stroke-dasharray": DASHES[1], opacity: 0.8 }, inside);
        continue;
      }
      if (finite(guide.at)) {
        const off = guide.at > y.high;
        const at = off ? box.top : round(y.at(guide.at));
        if (!off && guide.at >= y.low) element("line", { class: "guide", x1: box.left, x2: box.right, y1: at, y2: at }, inside);
        const aside = direct && !off;
        if (guide.label && !aside && (off || guide.at >= y.low)) write(svg, (off ? "↑ " : "") + guide.label, { class: "guide-label", x: box.left + 6, y: off ? at + 8 : at - 4 });
        continue;
      }
      diagonal(chart, inside, guide);
    }
  }

  // The line y = factor·x, labelled where it leaves the chart.
  function diagonal({ svg, x, y, box }, inside, guide) {
    const xs = [x.low, x.high], ys = xs.map((value) => guide.factor * value);
    if (y.log && ys[0] <= 0) return;
    element("path", { class: "guide", d: pathOf(xs, ys, x, y) }, inside);
    const leaves = ys[1] > y.high ? y.high / guide.factor : x.high;
    const at = [x.at(leaves), y.at(guide.factor * leaves)];
    if (!finite(at[0]) || at[0] < box.left + 20 || at[1] > box.bottom) return;
    const atTop = ys[1] > y.high;
    write(svg, guide.label, { class: "guide-label", x: round(atTop ? at[0] - 5 : box.right - 2), y: round(atTop ? box.top + 9 : at[1] - 6), "text-anchor": "end" });
  }

  function pathOf(xs, ys, x, y) {
    let d = "", open = false;
    xs.forEach((value, i) => {
      const a = x.at(value), b = y.at(ys[i]);
      if (!finite(a) || !finite(b)) { open = false; return; }
      // Far outside, dashes of a browser give out.
      d += `${open ? "L" : "M"}${round(a)},${round(Math.min(3000, Math.max(-3000, b)))}`;
      open = true;
    });
    return d;
  }

  function drawSeries(chart, inside, series) {
    const { x, y } = chart;
    const stroke = colour(series.colour || 0);
    if (series.line && series.e) {
      const upper = pathOf(series.x, series.y.map((v, i) => v + series.e[i]), x, y);
      const backwards = (list) => list.slice().reverse();
      const lower = pathOf(backwards(series.x), backwards(series.y.map((v, i) => v - series.e[i])), x, y);
      if (upper && lower) element("path", { class: "band", d: `${upper}L${lower.slice(1)}Z`, fill: stroke }, inside);
    }
    if (series.line) {
      const dash = DASHES[(series.dash || 0) % DASHES.length];
      const [xs, ys] = chart.points.length > CROWD ? envelope(series, Math.ceil(CROWD / chart.spec.series.length / 2)) : [series.x, series.y];
      const path = element("path", { class: "curve", d: pathOf(xs, ys, x, y), stroke }, inside);
      if (dash) path.setAttribute("stroke-dasharray", dash);
      if (series.faint) path.setAttribute("opacity", "0.6");
      else if (chart.spec.series.length > 40) path.setAttribute("opacity", "0.4");
    }
    if (series.mark !== undefined) drawMarks(chart, inside, series, stroke);
    else if (series.x.length < 2) series.x.forEach((v, i) => {
      const [a, b] = [x.at(v), y.at(series.y[i])];
      if (finite(a) && finite(b)) element("path", { class: "point", d: mark(0, a, b, 2.5), fill: stroke, stroke }, inside);
    });
  }

  // With more points than this a chart draws, of each curve, the smallest and the largest value of stretches.
  const CROWD = 40000;

  function envelope({ x, y }, stretches) {
    const kept = new Set([0, x.length - 1]);
    for (let part = 0; part < stretches; part++) {
      const from = Math.floor(part * x.length / stretches), to = Math.floor((part + 1) * x.length / stretches);
      let least = from, most = from;
      for (let i = from; i < to; i++) { if (y[i] < y[least]) least = i; if (y[i] > y[most]) most = i; }
      if (to > from) kept.add(least).add(most);
    }
    const order = [...kept].sort((a, b) => a - b);
    return [order.map((i) => x[i]), order.map((i) => y[i])];
  }

  function drawMarks({ x, y }, inside, series, stroke) {
    series.x.forEach((value, i) => {
      const a = x.at(value), b = y.at(series.y[i]);
      if (!finite(a) || !finite(b)) return;
      whisker(inside, [value, value], [series.y[i] - (series.e && series.e[i]), series.y[i] + (series.e && series.e[i])], x, y, stroke);
      whisker(inside, [value - (series.ex && series.ex[i]), value + (series.ex && series.ex[i])], [series.y[i], series.y[i]], x, y, stroke);
      const hollow = series.hollow && series.hollow[i];
      element("path", { class: hollow ? "point hollow" : "point", d: mark(series.mark, a, b, series.size || 3.6), fill: hollow ? "none" : stroke, stroke }, inside);
    });
  }

  // An error bar; where it reaches below zero on a logarithmic axis, to the end of that axis.
  function whisker(inside, xs, ys, x, y, stroke) {
    if (![...xs, ...ys].every(finite)) return;
    const on = (scale, value) => scale.at(scale.log ? Math.max(value, scale.low * 1e-3) : value);
    const [a, b, c, d] = [on(x, xs[0]), on(x, xs[1]), on(y, ys[0]), on(y, ys[1])].map(round);
    if ([a, b, c, d].every(finite)) element("line", { class: "whisker", x1: a, x2: b, y1: c, y2: d, stroke }, inside);
  }

  function divergence({ svg, x, box }, { x: value, label }) {
    const at = round(x.at(value));
    if (!finite(at) || at < box.left || at > box.right) return;
    element("path", { class: "axis", d: `M${at - 3.5},${box.top - 2}l7,7m0,-7l-7,7`, stroke: "var(--ink)", "stroke-width": 1.4 }, svg)
      .appendChild(element("title")).textContent = label;
  }

  // Names at the ends of curves, apart from each other.
  function endLabels(chart) {
    const { svg, spec, y, x, box } = chart;
    const labels = spec.series.filter((series) => series.line && series.name).map((series) => {
      const inView = series.x.map((value, i) => [value, series.y[i]]).filter(([value]) => value <= x.high * (1 + 1e-9));
      const last = inView[inView.length - 1];
      const at = last ? y.at(last[1]) : NaN;
      return { series, at: finite(at) ? Math.min(box.bottom, Math.max(box.top + 4, at)) : box.bottom };
    });
    for (const guide of spec.guides || []) {
      if (guide.label && finite(guide.at) && guide.at <= y.high && guide.at >= y.low) labels.push({ guide, at: y.at(guide.at) });
    }
    labels.sort((a, b) => a.at - b.at);
    const gap = 12.5;
    labels.forEach((label, i) => { if (i) label.at = Math.max(label.at, labels[i - 1].at + gap); });
    const over = labels.length ? labels[labels.length - 1].at - (box.bottom + 4) : 0;
    if (over > 0) {
      labels[labels.length - 1].at -= over;
      for (let i = labels.length - 2; i >= 0; i--) labels[i].at = Math.min(labels[i].at, labels[i + 1].at - gap);
    }
    for (const { series, guide, at } of labels) {
      const node = write(svg, guide ? guide.label : series.name, { class: guide ? "guide-label" : "", x: box.right + 6, y: round(at + 3.5) });
      if (series) node.style.fill = colour(series.colour || 0);
    }
  }

  function heading(svg, spec, width) {
    write(svg, spec.title, { class: "title", x: 0, y: 14 });
    let y = 20;
    for (const line of wrapped(spec.subtitle || "", width, 11)) { write(svg, line, { class: "small", x: 0, y: y += 13 }); }
    // Charts beside each other begin at the same height.
    return spec.line ? Math.max(y, 33) : y;
  }

  function wrapped(text, width, size) {
    const lines = [];
    let line = "";
    for (const word of text.split(" ").filter(Boolean)) {
      const longer = line ? `${line} ${word}` : word;
      if (line && widthOf(longer, size) > width) { lines.push(line); line = word; } else line = longer;
    }
    return line ? lines.concat(line) : lines;
  }

  function legend(svg, spec, width, top) {
    const named = spec.series.filter((series) => series.name && !series.quiet);
    if (named.length < 1 || (named.length === 1 && spec.plain)) return top;
    let left = 0, y = top + 14;
    for (const series of named) {
      const lines = wrapped(series.name, width - 34, 11);
      const wide = 30 + Math.max(...lines.map((line) => widthOf(line))) + 16;
      if (left > 0 && left + wide > width) { left = 0; y += 15; }
      const stroke = colour(series.colour || 0);
      if (series.line) {
        const line = element("line", { x1: left, x2: left + 22, y1: y - 4, y2: y - 4, stroke, "stroke-width": 1.6 }, svg);
        const dash = DASHES[(series.dash || 0) % DASHES.length];
        if (dash) line.setAttribute("stroke-dasharray", dash);
      }
      if (series.mark !== undefined) element("path", { class: "point", d: mark(series.mark, left + 11, y - 4, 3.6), fill: stroke, stroke }, svg);
      lines.forEach((line, i) => write(svg, line, { x: left + 28, y: y + 13 * i }));
      y += 13 * (lines.length - 1);
      left = lines.length > 1 ? width : left + wide;
    }
    return y + 9;
  }

  // ---- a heat map ---------------------------------------------------------------------------------------------------

  // spec: title, subtitle, file, xLabel, yLabel, columns[], rows[], cells[row][column] { value, text, label }, log.
  function heat(host, spec) {
    const chart = { spec, host };
    Object.assign(chart, frame(host, spec, () => heatRows(spec), () => {}));
    chart.draw = () => drawHeat(chart);
    keepToWidth(chart);
    return chart;
  }

  function drawHeat(chart) {
    const { svg, spec, host } = chart;
    const width = Math.max(260, Math.floor(host.clientWidth || 640));
    clear(svg);
    const top = heading(svg, spec, width) + 12;
    const left = Math.min(width / 3, 12 + Math.max(...spec.rows.map((row) => widthOf(row)), widthOf(spec.yLabel)));
    const wide = (width - left) / spec.columns.length, high = 30;
    write(svg, spec.yLabel, { class: "small", x: 0, y: top });
    const known = spec.cells.flat().filter((cell) => cell && finite(cell.value)).map((cell) => cell.value);
    const log = spec.log && known.every((value) => value > 0);
    const depth = (value) => {
      const map = log ? Math.log : (v) => v, low = map(Math.min(...known)), over = map(Math.max(...known)) - low;
      return over > 0 ? 0.06 + 0.84 * (map(value) - low) / over : 0.3;
    };
    spec.rows.forEach((row, r) => {
      const y = top + 6 + r * high;
      write(svg, row, { x: left - 8, y: y + high / 2 + 4, "text-anchor": "end" });
      spec.columns.forEach((_, c) => {
        const cell = spec.cells[r][c], x = left + c * wide;
        const shade = cell && finite(cell.value) ? depth(cell.value) : 0;
        const box = element("rect", { x: round(x + 1), y: y + 1, width: round(wide - 2), height: high - 2, fill: "var(--c0)", "fill-opacity": round(shade), stroke: "var(--grid)" }, svg);
        if (!cell) return;
        element("title", {}, box).textContent = cell.label;
        if (widthOf(cell.text) < wide - 4) write(svg, cell.text, { class: shade > 0.5 ? "cell-bold" : "", x: round(x + wide / 2), y: y + high / 2 + 4, "text-anchor": "middle", "pointer-events": "none" });
      });
    });
    const bottom = top + 6 + spec.rows.length * high;
    let free = -Infinity;
    spec.columns.forEach((column, c) => {
      const at = left + (c + 0.5) * wide, half = widthOf(column) / 2;
      if (at - half < free + 4) return;
      free = at + half;
      write(svg, column, { class: "tick", x: round(at), y: bottom + 14, "text-anchor": "middle" });
    });
    write(svg, spec.xLabel, { class: "small", x: width, y: bottom + 28, "text-anchor": "end" });
    sized(svg, width, bottom + 34);
  }

  // ---- the frame: an SVG, a box for values, buttons -----------------------------------------------------------------

  function frame(host, spec, rows, reset, whole = (act) => act()) {
    const figure = document.createElement("figure");
    const svg = element("svg", { class: "chart", role: "img", tabindex: "0", "aria-label": `${spec.title}. ${spec.subtitle || ""}`.replace(/_/g, " ") });
    // What follows the pointer has a layer of its own: thousands of points are not painted again at every move.
    const cursor = element("svg", { class: "chart cursor-layer", "aria-hidden": "true" });
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("role", "status");
    tip.hidden = true;
    const tools = document.createElement("div");
    tools.className = "chart-tools";
    const resetButton = button(tools, "reset zoom", reset);
    resetButton.hidden = true;
    button(tools, "SVG", () => save(new Blob([whole(() => paper(svg))], { type: "image/svg+xml" }), `${spec.file}.svg`));
    button(tools, "PNG", () => savePng(whole(() => paper(svg)), `${spec.file}.png`));
    button(tools, "CSV", () => save(new Blob([csv(rows())], { type: "text/csv" }), `${spec.file}.csv`));
    figure.append(svg, cursor, tools, tip);
    host.appendChild(figure);
    return { figure, svg, cursor, tip, tools, reset: resetButton };
  }

  function button(parent, text, act) {
    const node = document.createElement("button");
    node.type = "button";
    node.textContent = text;
    node.addEventListener("click", act);
    parent.appendChild(node);
    return node;
  }

  function sized(svg, width, height) {
    svg.setAttribute("viewBox", `0 0 ${round(width)} ${round(height)}`);
    svg.setAttribute("width", round(width));
    svg.setAttribute("height", round(height));
  }

  const clear = (svg) => { while (svg.firstChild) svg.removeChild(svg.firstChild); };

  function keepToWidth(chart) {
    chart.draw();
    if (typeof ResizeObserver === "undefined") return;
    let before = chart.host.clientWidth;
    new ResizeObserver(() => {
      const now = chart.host.clientWidth;
      if (now && now !== before) { before = now; chart.draw(); }
    }).observe(chart.host);
  }

  // ---- values under the pointer, zoom, keys -------------------------------------------------------------------------

  function listen(chart) {
    const { svg } = chart;
    let start = null;
    const place = (event) => {
      const box = svg.getBoundingClientRect();
      return [(event.clientX - box.left) * chart.width / box.width, (event.clientY - box.top) * chart.height / box.height];
    };
    svg.addEventListener("pointerdown", (event) => {
      const at = place(event);
      if (event.button === 0 && at[1] <= chart.box.bottom) { start = at; if (event.pointerType === "mouse") event.preventDefault(); svg.focus({ preventScroll: true }); }
    });
    svg.addEventListener("pointermove", (event) => {
      const at = place(event);
      if (start && Math.abs(at[0] - start[0]) > 4) brush(chart, start[0], at[0]); else pointAt(chart, nearest(chart, at));
    });
    svg.addEventListener("pointerup", (event) => {
      const at = place(event);
      if (start && Math.abs(at[0] - start[0]) > 8) zoom(chart, chart.x.back(start[0]), chart.x.back(at[0]));
      start = null;
    });
    svg.addEventListener("pointerleave", () => { start = null; pointAt(chart, null); });
    svg.addEventListener("blur", () => pointAt(chart, null));
    svg.addEventListener("dblclick", () => { chart.group.range = null; redraw(chart.group); });
    svg.addEventListener("click", () => { if (chart.current && chart.spec.open) chart.spec.open(chart.current); });
    svg.addEventListener("keydown", (event) => key(chart, event));
  }

  function brush(chart, from, to) {
    clear(chart.cursor);
    chart.tip.hidden = true;
    const clamp = (value) => Math.min(chart.box.right, Math.max(chart.box.left, value));
    const [a, b] = [clamp(Math.min(from, to)), clamp(Math.max(from, to))];
    element("rect", { class: "brush", x: round(a), width: round(b - a), y: chart.box.top, height: chart.box.bottom - chart.box.top }, chart.cursor);
  }

  function zoom(chart, a, b) {
    const all = chart.points.map((point) => point.x);
    const low = Math.max(Math.min(a, b), chart.x.low), high = Math.min(Math.max(a, b), chart.x.high);
    if (!(high > low) || !all.some((x) => x >= low && x <= high)) return;
    chart.group.range = [low, high];
    redraw(chart.group);
  }

  function key(chart, event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    const middle = chart.current ? chart.current.x : chart.x.back((chart.box.left + chart.box.right) / 2);
    if (event.key in steps) move(chart, steps[event.key]);
    else if (event.key === "+" || event.key === "=") around(chart, middle, 0.5);
    else if (event.key === "-" || event.key === "−") around(chart, middle, 2);
    else if (event.key === "0" || event.key === "Escape") { chart.group.range = null; redraw(chart.group); }
    else if (event.key === "Enter" && chart.current && chart.spec.open) chart.spec.open(chart.current);
    else return;
    event.preventDefault();
  }

  function around(chart, middle, factor) {
    const { x } = chart, half = (chart.box.right - chart.box.left) / 2 * factor, at = x.at(middle);
    const all = whole(chart);
    const low = Math.max(all[0], x.back(at - half)), high = Math.min(all[1], x.back(at + half));
    if (!(high > low)) return;
    chart.group.range = low <= all[0] && high >= all[1] ? null : [low, high];
    redraw(chart.group);
  }

  function move(chart, by) {
    const inView = chart.points.filter((point) => point.x >= chart.x.low && point.x <= chart.x.high).sort((a, b) => a.x - b.x || a.s - b.s);
    const list = chart.spec.line ? inView.filter((point, i) => i === 0 || point.x !== inView[i - 1].x) : inView;
    if (!list.length) return;
    const at = chart.current ? list.findIndex((point) => point.x >= chart.current.x && (chart.spec.line || (point.s === chart.current.s && point.i === chart.current.i))) : by > 0 ? -1 : list.length;
    pointAt(chart, list[Math.min(list.length - 1, Math.max(0, at + by))]);
  }

  function nearest(chart, [a, b]) {
    if (a < chart.box.left - 6 || a > chart.box.right + 6 || b < chart.box.top - 6 || b > chart.box.bottom + 6) return null;
    if (chart.spec.overlaid) return nearestCurve(chart, a, b);
    let best = null, least = chart.spec.line ? Infinity : 30 ** 2;
    for (const point of chart.points) {
      const dx = chart.x.at(point.x) - a, dy = chart.spec.line ? 0 : chart.y.at(point.y) - b;
      const distance = dx * dx + dy * dy;
      if (distance < least) { least = distance; best = point; }
    }
    return best;
  }

  // Of curves that lie over each other the one that passes the pointer most closely.
  function nearestCurve(chart, a, b) {
    let best = null, least = Infinity;
    chart.spec.series.forEach((series, s) => {
      const i = indexAt(series, chart.x.back(a)), x = series.x[i], y = series.y[i];
      const distance = (chart.x.at(x) - a) ** 2 + (chart.y.at(y) - b) ** 2;
      if (distance < least) { least = distance; best = { s, i, x, y, e: series.e && series.e[i] }; }
    });
    return best;
  }

  // The place of the value that is nearest to x, in a series whose values rise.
  function indexAt(series, x) {
    let low = 0, high = series.x.length - 1;
    while (high - low > 1) { const middle = (low + high) >> 1; if (series.x[middle] < x) low = middle; else high = middle; }
    return high >= 0 && Math.abs(series.x[high] - x) < Math.abs(series.x[low] - x) ? high : low;
  }

  // Shows the values at a point here, and a line at the same x in the other charts of the group.
  function pointAt(chart, point) {
    chart.current = point;
    for (const other of chart.group.charts) { clear(other.cursor); if (other !== chart) other.tip.hidden = true; }
    chart.tip.hidden = !point;
    if (!point) return;
    for (const other of chart.group.charts) {
      const at = round(other.x.at(point.x));
      if (other.spec.line && finite(at) && at >= other.box.left && at <= other.box.right) element("line", { class: "cursor", x1: at, x2: at, y1: other.box.top, y2: other.box.bottom }, other.cursor);
    }
    const rows = chart.spec.line ? readings(chart, point) : [point];
    if (chart.spec.overlaid) emphasise(chart, point.s, true);
    for (const row of rows) {
      const a = chart.x.at(row.x), b = chart.y.at(row.y);
      const stroke = colour(chart.spec.series[row.s].colour || 0);
      if (finite(a) && finite(b)) element("path", { class: "point", d: mark(chart.spec.series[row.s].mark || 0, a, b, 4.5), fill: stroke, stroke: "var(--ink)" }, chart.cursor);
    }
    tell(chart, point, rows);
  }

  // One curve thicker than others, until the pointer moves on; with nothing beside it, unless it joins the cursor.
  function emphasise(chart, s, beside) {
    if (!beside) clear(chart.cursor);
    const series = chart.spec.series[s];
    if (!series) return;
    const attributes = { class: "curve strong", d: pathOf(series.x, series.y, chart.x, chart.y), stroke: colour(series.colour || 0), "clip-path": `url(#${chart.clip})` };
    element("path", attributes, chart.cursor);
  }

  // So many values of curves are named at a time: the one that is pointed at, and those next to it.
  const NAMED = 8;

  function readings(chart, point) {
    const { x } = point;
    const all = chart.spec.series.flatMap((series, s) => {
      const best = indexAt(series, x);
      const within = finite(series.y[best]) && Math.abs(series.x[best] - x) <= Math.max(1, (chart.x.high - chart.x.low) / 12);
      return within ? [{ s, i: best, x: series.x[best], y: series.y[best], e: series.e && series.e[best] }] : [];
    });
    if (!chart.spec.overlaid) return all;
    const far = (row) => row.s === point.s ? -1 : Math.abs(chart.y.at(row.y) - chart.y.at(point.y));
    const shown = all.sort((a, b) => far(a) - far(b)).slice(0, NAMED);
    shown.more = all.length - shown.length;
    return shown;
  }

  function tell(chart, point, rows) {
    const { tip, spec } = chart;
    tip.textContent = "";
    const line = (text, strong) => { const node = document.createElement("div"); if (strong) node.className = "strong"; node.textContent = text.replace(/([λΛ])_/g, "$1"); tip.appendChild(node); };
    const error = (row) => finite(row.e) ? ` ± ${number(row.e)}` : "";
    if (spec.line) {
      line(`step ${point.x}`, true);
      rows.forEach((row) => {
        line(`${spec.series[row.s].name} ${number(row.y)}${error(row)}${row.x === point.x ? "" : ` (step ${row.x})`}`, spec.overlaid && row.s === point.s);
        if (spec.overlaid) tip.lastChild.prepend(swatch(null, spec.series[row.s]));
      });
      if (rows.more > 0) line(`and ${rows.more} more`);
    } else {
      const series = spec.series[point.s];
      line((series.labels && series.labels[point.i]) || series.name, true);
      line(`${spec.xName || spec.xLabel} ${number(point.x)}`);
      line(`${spec.yName || spec.title} ${number(point.y)}${error(point)}`);
      (spec.more ? spec.more(point) : []).forEach((text) => line(text));
    }
    const box = chart.svg.getBoundingClientRect(), factor = box.width / chart.width;
    const at = chart.x.at(point.x) * factor;
    const right = at > box.width * 0.55;
    tip.style.left = right ? "auto" : `${at + 12}px`;
    tip.style.right = right ? `${Math.max(0, chart.figure.clientWidth - at + 12)}px` : "auto";
    tip.style.top = `${chart.box.top * factor + 4}px`;
  }

  // A short piece of a curve, as the page shows it in lists.
  function swatch(parent, series) {
    const svg = element("svg", { class: "swatch", width: 22, height: 8, "aria-hidden": "true" }, parent);
    const line = element("line", { x1: 0, x2: 22, y1: 4, y2: 4, "stroke-width": 2 }, svg);
    const dress = (stroke, dash) => { line.setAttribute("stroke", stroke); line.setAttribute("stroke-dasharray", dash); };
    if (series) dress(colour(series.colour || 0), DASHES[(series.dash || 0) % DASHES.length]);
    svg.look = (index) => index === undefined ? dress("none", "") : dress(colour(index), DASHES[Math.floor(index / COLOURS) % DASHES.length]);
    return svg;
  }

  // ---- downloads ----------------------------------------------------------------------------------------------------

  // The chart on white, with its style inside.
  function paper(svg) {
    const copy = svg.cloneNode(true);
    copy.setAttribute("xmlns", SVG);
    const [width, height] = [Number(svg.getAttribute("width")), Number(svg.getAttribute("height"))];
    copy.setAttribute("viewBox", `-12 -8 ${width + 24} ${height + 16}`);
    copy.setAttribute("width", width + 24);
    copy.setAttribute("height", height + 16);
    copy.insertBefore(element("rect", { x: -12, y: -8, width: width + 24, height: height + 16, fill: PAPER["--page"] }), copy.firstChild);
    copy.insertBefore(element("style"), copy.firstChild).textContent = STYLE;
    return new XMLSerializer().serializeToString(copy).replace(/var\((--\w+)\)/g, (_, name) => PAPER[name] || "#000000");
  }

  function savePng(drawing, name) {
    const picture = new Image();
    const url = URL.createObjectURL(new Blob([drawing], { type: "image/svg+xml" }));
    picture.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = picture.width * 2;
      canvas.height = picture.height * 2;
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      URL.revokeObjectURL(url);
      canvas.toBlob((blob) => save(blob, name), "image/png");
    };
    picture.src = url;
  }

  function save(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  function csv(rows) {
    const cell = (value) => {
      const text = value === undefined || value === null ? "" : String(value);
      return /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
    };
    return rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
  }

  function lineRows(spec) {
    const head = ["series", spec.xName || spec.xLabel, spec.yName || spec.title, "error", "run"];
    return [head].concat(spec.series.flatMap((series) => series.x.map((x, i) => [series.name, x, series.y[i], series.e && series.e[i], series.labels && series.labels[i]])));
  }

  function heatRows(spec) {
    return [[spec.yLabel, spec.xLabel, spec.title]].concat(spec.rows.flatMap((row, r) => spec.columns.map((column, c) => [row, column, spec.cells[r][c] && spec.cells[r][c].value])));
  }

  return { lines, heat, change, emphasise, swatch, lowered, widthOf, number, STYLE, paper, csv: (chart) => csv(chart.spec.cells ? heatRows(chart.spec) : lineRows(chart.spec)) };
})();
