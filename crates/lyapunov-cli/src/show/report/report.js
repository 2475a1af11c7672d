"use strict";
// The page: its charts across runs and of each run, the table that sorts and filters, light and dark.

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { runs, groups } = data;
  const style = document.createElement("style");
  style.textContent = Charts.STYLE;
  document.head.appendChild(style);

  const known = (value) => typeof value === "number";
  const host = (parent) => parent.appendChild(document.createElement("div"));
  const fileName = (text) => text.replace(/[^\p{L}\d]+/gu, "-").replace(/^-|-$/g, "") || "figure";

  // ---- light and dark -----------------------------------------------------------------------------------------------

  const theme = document.getElementById("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const tellTheme = () => { theme.textContent = isDark() ? "light" : "dark"; };
  theme.addEventListener("click", () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; tellTheme(); });
  dark.addEventListener("change", tellTheme);
  tellTheme();

  // ---- across runs --------------------------------------------------------------------------------------------------

  const openRun = (chart) => (point) => open(chart.series[point.s].runs[point.i]);

  // One series of points for each group; a point is { x, y, e, ex, run }.
  function byGroup(point) {
    return groups.map((group, g) => {
      const points = runs.map((run, r) => ({ run, r })).filter(({ run }) => run.group === g)
        .map(({ run, r }) => { const found = point(run); return found && known(found.x) && known(found.y) ? { ...found, run, r } : null; }).filter(Boolean);
      const column = (name) => points.some((p) => known(p[name])) ? points.map((p) => p[name]) : undefined;
      return {
        name: group.label, group: g, x: points.map((p) => p.x), y: points.map((p) => p.y), e: column("e"), ex: column("ex"),
        colour: g, mark: g, hollow: points.map((p) => !p.run.succeeded), labels: points.map((p) => `${p.run.name}, seed ${p.run.seed}`), runs: points.map((p) => p.r),
      };
    }).filter((series) => series.x.length);
  }

  const count = (series) => series.reduce((sum, one) => sum + one.x.length, 0);
  const different = (series, axis) => new Set(series.flatMap((one) => one[axis])).size;

  function sharpness(parent) {
    const series = byGroup((run) => run.max && run.max.value > 0 && run.max.rate > 0 ? { x: 1 / run.max.rate, y: run.max.value, e: run.max.error } : null);
    if (count(series) < 2) return;
    const guides = [{ factor: 1, label: "1/η" }];
    const edges = new Set(runs.map((run) => run.edge && run.edge.panel === "sharpness" && Number(run.edge.at.toPrecision(3))).filter(Boolean));
    (edges.size ? [...edges] : [2]).slice(0, 4).forEach((at) => guides.push({ factor: at, label: `the edge, ${at}/η` }));
    for (const one of series) {
      const { line, slope } = groups[one.group];
      if (line) {
        const [slope, intercept, low, high] = line;
        guides.push({ colour: one.group, path: [low, high].map((rate) => [1 / rate, Math.exp(intercept + slope * Math.log(rate))]) });
        one.name += `: slope ${slope}`;
      }
    }
    const on = [...new Set(runs.map((run) => run.max && run.max.on).filter(Boolean))];
    const spec = {
      title: "λ_max against 1/η", file: "lambda-max-against-rate", xLabel: "1/η", yName: "λ_max", xLog: true, yLog: true, height: 340, series, guides,
      subtitle: `Late in each run, on ${on.join(", ")}. Dotted: 1/η and the edge of stability. Dashed: the fit of ln λ_max on ln η. Hollow: training did not succeed.`,
      more: (point) => [`η·λ_max ${Charts.number(point.y / point.x)}`, `η ${Charts.number(1 / point.x)}`],
    };
    spec.open = openRun(spec);
    Charts.lines(host(parent), spec);
  }

  function exponents(parent) {
    const series = byGroup((run) => run.min && run.exponent ? { x: -run.min.value, y: run.exponent.value, e: run.exponent.error, ex: run.min.error } : null);
    if (count(series) < 2) return;
    const spec = {
      title: "Λ_1/η against −λ_min", file: "exponent-against-curvature", xLabel: "−λ_min", yName: "Λ_1/η", height: 340, series,
      guides: [{ factor: 1, label: "equal" }], subtitle: "The largest exponent per unit of training time, ± one standard error. Hollow: training did not succeed.",
    };
    spec.open = openRun(spec);
    Charts.lines(host(parent), spec);
  }

  // Runs whose η a rule sets have no place along it: their means are levels.
  function levelsByRule(value) {
    const found = new Map();
    runs.filter((run) => run.rule).forEach((run) => found.set(run.group, (found.get(run.group) || []).concat(value(run))));
    return [...found].filter(([, list]) => list.every(known)).slice(0, 4).map(([group, list]) => {
      const rule = runs.find((run) => run.group === group && run.rule).rule;
      return { at: list.reduce((a, b) => a + b, 0) / list.length, label: found.size > 1 ? groups[group].label : `by rule: ${rule}` };
    });
  }

  function againstRate(parent, title, value, file, log) {
    const points = byGroup((run) => known(run.rate) && run.rate > 0 && !run.rule ? { x: run.rate, y: value(run) } : null);
    if (different(points, "x") < 2) return;
    const means = points.map((one) => ({ ...meanOver(one, one.group), colour: one.colour, dash: one.colour, line: true, quiet: true, faint: true, name: `${one.name}, mean over seeds` }));
    const marks = runs.filter((run) => blewUp(run) && run.rate > 0 && !run.rule).map((run) => ({ x: run.rate, label: `${run.name} ${run.state === "diverged" ? "diverged" : "blew up"}` }));
    const positive = points.every((one) => one.y.every((y) => y > 0));
    const spec = {
      title, file, xLabel: "η", yName: title, xLog: true, yLog: log && positive ? "auto" : false, height: 240, series: points.concat(means), marks, guides: levelsByRule(value),
      subtitle: `At the final weights; lines join the means over seeds, where every seed has ended.${marks.length ? " × at the upper end: diverged or blew up." : ""}`,
    };
    spec.open = openRunOf(spec);
    Charts.lines(host(parent), spec);
  }

  const openRunOf = (spec) => (point) => { const list = spec.series[point.s].runs; if (list) open(list[point.i]); };

  const { blewUp } = Curves;

  // A mean over those that survived would flatter a rate at which others did not: it is left out.
  function meanOver(series, group) {
    const sums = new Map();
    series.x.forEach((x, i) => { const [sum, n] = sums.get(x) || [0, 0]; sums.set(x, [sum + series.y[i], n + 1]); });
    const all = (at) => runs.filter((run) => run.group === group && run.rate === at).length;
    const x = [...sums.keys()].filter((at) => sums.get(at)[1] === all(at)).sort((a, b) => a - b);
    return { x, y: x.map((at) => sums.get(at)[0] / sums.get(at)[1]) };
  }

  function heats(parent) {
    if (!data.grid) return;
    const { keys, values } = data.grid;
    const short = (key) => key.replace(/\.name$/, "").split(".").pop().replace(/_/g, " ");
    const measures = [
      ["final loss", (run) => run.loss, true], ["test accuracy", (run) => run.accuracy, false],
      ["η·λ_max", (run) => run.max ? run.max.value * run.max.rate : undefined, true],
    ];
    for (const [title, value, log] of measures) {
      if (!runs.some((run) => known(value(run)))) continue;
      const cells = values[0].map((_, r) => values[1].map((_, c) => cellOf(runs.filter((run) => run.place[0] === r && run.place[1] === c), value, `${values[0][r]}, ${values[1][c]}`)));
      Charts.heat(host(parent), {
        title: `${title} by ${short(keys[0])} and ${short(keys[1])}`, subtitle: "The mean over seeds, of those that ended where not all did (1/3: one of three); ×: all diverged or blew up. Darker is more.", file: fileName(`grid ${title}`),
        xLabel: short(keys[1]), yLabel: short(keys[0]), rows: values[0], columns: values[1], cells, log,
      });
    }
  }

  function cellOf(members, value, label) {
    if (!members.length) return null;
    const numbers = members.map(value).filter(known);
    const mean = numbers.length ? numbers.reduce((a, b) => a + b, 0) / numbers.length : undefined;
    const share = numbers.length < members.length ? ` (${numbers.length}/${members.length})` : "";
    const text = known(mean) ? `${Charts.number(Number(mean.toPrecision(3)))}${share}` : members.some(blewUp) ? "×" : "–";
    return { value: mean, text, label: `${label}: ${text} (${numbers.length} of ${members.length} runs)` };
  }

  function across() {
    const parent = document.getElementById("across");
    if (!parent) return;
    sharpness(parent);
    exponents(parent);
    againstRate(parent, "final loss against η", (run) => run.loss, "loss-against-rate", true);
    againstRate(parent, "test accuracy against η", (run) => run.accuracy, "accuracy-against-rate", false);
    heats(parent);
    if (!parent.firstChild) parent.textContent = "Nothing that could be set beside each other was recorded.";
  }

  // ---- one run ------------------------------------------------------------------------------------------------------

  const SHORT = { "η·batch sharpness": "η·batch sharp.", "η·λ_max(P^-½HP^-½)": "η·λ_max, precond." };

  function drawRun(details) {
    const run = runs[Number(details.dataset.run)];
    const parent = details.querySelector(".panels");
    if (parent.firstChild) return;
    const group = { range: null, charts: [] };
    const name = (curve) => SHORT[curve.label] || curve.label;
    // Names stand at the ends of curves, with the same room in every chart, so that steps are below each other.
    const room = Math.max(...run.curves.map((curve) => Charts.widthOf(name(curve))), Charts.widthOf("edge 2.00/η")) + 12;
    const ends = run.curves.map((curve) => Curves.steps(curve.x)).flatMap((x) => [x[0], x[x.length - 1]]);
    const xs = [Math.min(...ends), Math.max(...ends)];
    for (const [panel, title, options] of Curves.PANELS) {
      const curves = run.curves.filter((curve) => curve.panel === panel);
      if (!curves.length) continue;
      const series = curves.map((curve, i) => ({
        name: name(curve), x: Curves.steps(curve.x), y: curve.y, e: curve.e, line: true, colour: i, dash: i,
      }));
      Charts.lines(host(parent), {
        title, file: fileName(`${run.name} ${panel}`), xLabel: "step", xName: "step", yName: title, line: true, direct: room, series, xs,
        guides: Curves.levels([run], panel), ...options,
      }, group);
    }
  }

  function open(index) {
    const details = document.getElementById(`run-${index}`);
    if (!details) return;
    details.open = true;
    drawRun(details);
    details.scrollIntoView({ block: "start" });
  }

  const everyRun = [...document.querySelectorAll("details.run")];
  everyRun.forEach((details) => {
    details.addEventListener("toggle", () => { if (details.open) drawRun(details); });
    if (details.open) drawRun(details);
  });
  const followAddress = () => { const found = /^#run-(\d+)$/.exec(location.hash); if (found) open(Number(found[1])); };
  window.addEventListener("hashchange", followAddress);
  // On paper nothing can be opened: a few runs are shown whole.
  window.addEventListener("beforeprint", () => { if (everyRun.length <= 12) everyRun.forEach((details) => { details.open = true; drawRun(details); }); });

  // ---- the table ----------------------------------------------------------------------------------------------------

  const table = document.getElementById("runs-table");
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => sort(heading, column)));

  function sort(heading, column) {
    const upwards = heading.getAttribute("aria-sort") !== "ascending";
    headings.forEach((other) => other.setAttribute("aria-sort", other === heading ? (upwards ? "ascending" : "descending") : "none"));
    const rows = [...body.rows].map((row) => [row, row.cells[column]]);
    rows.sort(([, a], [, b]) => compare(a, b, upwards ? 1 : -1));
    body.append(...rows.map(([row]) => row));
  }

  // Numbers before words, and what is not known last, whichever way.
  function compare(a, b, sign) {
    const empty = (cell) => cell.textContent === "" || cell.textContent === "—";
    if (empty(a) || empty(b)) return Number(empty(a)) - Number(empty(b));
    const [x, y] = [a, b].map((cell) => cell.dataset.order === undefined ? NaN : Number(cell.dataset.order));
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) && Number.isNaN(y) ? sign * a.textContent.localeCompare(b.textContent, undefined, { numeric: true }) : Number.isNaN(x) - Number.isNaN(y);
    return sign * (x - y);
  }

  const filter = document.getElementById("filter");
  const counted = document.getElementById("count");
  const texts = new Map([...body.rows].map((row) => [row, row.textContent.toLowerCase()]));
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const [row, text] of texts) {
      const fits = words.every((word) => text.includes(word));
      row.hidden = !fits;
      document.getElementById(`run-${row.dataset.run}`).hidden = !fits;
      left += Number(fits);
    }
    counted.textContent = words.length ? `${left} of ${runs.length} runs` : "";
  });

  Curves.start(data, open);
  across();
  followAddress();
})();
