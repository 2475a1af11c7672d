"use strict";
// What charts are drawn with: SVG elements, text, scales, marks; and how a drawing leaves the page.

const Drawing = (() => {
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

  // A short piece of a curve, as the page shows it in lists.
  function swatch(parent, series) {
    const svg = element("svg", { class: "swatch", width: 22, height: 8, "aria-hidden": "true" }, parent);
    const line = element("line", { x1: 0, x2: 22, y1: 4, y2: 4, "stroke-width": 2 }, svg);
    const dress = (stroke, dash) => { line.setAttribute("stroke", stroke); line.setAttribute("stroke-dasharray", dash); };
    if (series) dress(colour(series.colour || 0), DASHES[(series.dash || 0) % DASHES.length]);
    svg.look = (index) => index === undefined ? dress("none", "") : dress(colour(index), DASHES[Math.floor(index / COLOURS) % DASHES.length]);
    return svg;
  }

  function sized(svg, width, height) {
    svg.setAttribute("viewBox", `0 0 ${round(width)} ${round(height)}`);
    svg.setAttribute("width", round(width));
    svg.setAttribute("height", round(height));
  }

  const clear = (svg) => { while (svg.firstChild) svg.removeChild(svg.firstChild); };

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

  return { element, write, lowered, widthOf, finite, round, number, scale, ends, mark, colour, DASHES, pathOf, sized, clear, swatch, paper, savePng, save, csv, STYLE };
})();
