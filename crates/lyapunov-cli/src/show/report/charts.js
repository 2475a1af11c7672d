"use strict";
// Charts as inline SVG: axes, curves with bands, points with error bars, guides, heat maps; zoom, values, downloads.
// Charts.lines(host, spec, group) and Charts.heat(host, spec) draw into an element and keep to its width.
// Charts.change(chart, { series, guides, xs }) draws others in the same chart; Charts.emphasise(chart, s) sets one curve off.

const Charts = (() => {
  const { element, write, lowered, widthOf, finite, round, number, scale, ends, mark, colour, DASHES, pathOf, sized, clear, swatch, paper, savePng, save, csv, STYLE } = Drawing;
  const { listen, emphasise, redraw } = Pointer;

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
    const withLegend = (act) => {
      chart.whole = true;
      chart.draw();
      const done = act();
      chart.whole = false;
      chart.draw();
      return done;
    };
    const figure = frame(host, spec, () => lineRows(spec), () => { shared.range = null; redraw(shared); }, withLegend);
    Object.assign(chart, figure);
    const toggle = button(figure.tools, "log", () => { chart.logged = !chart.y.log; chart.draw(); });
    chart.tellScale = () => { toggle.textContent = chart.y.log ? "linear" : "log"; toggle.setAttribute("aria-label", `${toggle.textContent} vertical axis`); };
    shared.charts.push(chart);
    chart.draw = () => drawLines(chart);
    chart.all = () => whole(chart);
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

  function keepToWidth(chart) {
    chart.draw();
    if (typeof ResizeObserver === "undefined") return;
    let before = chart.host.clientWidth;
    new ResizeObserver(() => {
      const now = chart.host.clientWidth;
      if (now && now !== before) { before = now; chart.draw(); }
    }).observe(chart.host);
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
