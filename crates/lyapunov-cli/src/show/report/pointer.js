"use strict";
// What a chart of curves does under the pointer and by keys: values, zoom, a curve set off.
// Pointer.listen(chart) for a chart with spec, group, points, svg, cursor, tip, box, x, y, width, draw() and all(), the
// ends of its whole horizontal axis.

const Pointer = (() => {
  const { element, finite, round, number, mark, colour, pathOf, clear, swatch } = Drawing;

  const redraw = (group) => group.charts.forEach((chart) => chart.draw());

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
    const all = chart.all();
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

  return { listen, emphasise, redraw };
})();
