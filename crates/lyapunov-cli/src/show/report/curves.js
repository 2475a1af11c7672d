"use strict";
// The curves of chosen runs, laid over each other, and the list to choose them from.
// Curves.start(data, open): one chart for each quantity that some run has recorded; open(index) shows one run alone.

const Curves = (() => {
  const PANELS = [
    ["loss", "loss", { yLog: "auto", subtitle: "means over images" }], ["accuracy", "test accuracy", { subtitle: "share of images classified correctly" }],
    ["sharpness", "sharpness × η", { subtitle: "against its thresholds" }],
    ["preconditioned", "precond. sharpness × η", { yLog: "auto", subtitle: "preconditioned by Adam, against its threshold" }],
    ["exponents", "Lyapunov exponents", { subtitle: "nats per step so far, ± one standard error", wild: true }],
    ["rate", "learning rate η", { subtitle: "of each step", plain: true }],
    ["cost", "cost of measuring", { subtitle: "gradient-equivalents per step so far", plain: true, wild: true, zero: true }],
  ];
  // What a quantity is called above a chart of its own.
  const TITLES = {
    "loss mini-batch": "loss of the mini-batch", "loss test": "test loss", "loss training": "training loss", "accuracy test": "test accuracy", "rate η": "learning rate η",
    "cost measuring": "cost of measuring", "exponents Λ_1": "largest exponent Λ_1",
  };
  const SUBTITLES = { "η·|λ_min|": "the most negative curvature, times η" };
  // So many runs are drawn before anybody has chosen.
  const FIRST = 10;
  const narrow = window.matchMedia("screen and (max-width: 900px)");

  // Steps are stored as distances.
  const steps = (distances) => { let at = 0; return distances.map((distance) => (at += distance)); };
  const blewUp = (run) => run.state === "diverged" || run.state === "blown-up";

  function levels(runs, panel, label) {
    if (label === "η·|λ_min|") return [];
    const edges = new Set(runs.map((run) => run.edge && run.edge.panel === panel && Number(run.edge.at.toPrecision(3))).filter(Boolean));
    const guides = panel === "sharpness" ? [{ at: 1, label: "1/η" }] : [];
    if (panel === "exponents") guides.push({ at: 0, label: "" });
    if (panel === "sharpness" && !edges.size) guides.push({ at: 2, label: "2/η" });
    [...edges].slice(0, 4).forEach((at) => guides.push({ at, label: `edge ${Charts.number(at)}/η` }));
    return guides;
  }

  // The quantities that are drawn: the loss and η·λ first, then all others in the order of their panels.
  function quantities(runs) {
    const found = new Map();
    const place = (panel) => PANELS.findIndex(([name]) => name === panel);
    // A single point is no curve: the table has it.
    for (const curve of runs.flatMap((run) => run.curves).filter((curve) => curve.x.length > 1)) {
      const name = `${curve.panel} ${curve.label}`;
      if (place(curve.panel) < 0 || /^exponents Λ_([2-9]|\d\d)/.test(name) || found.has(name)) continue;
      found.set(name, { panel: curve.panel, label: curve.label, title: TITLES[name] || curve.label, options: PANELS[place(curve.panel)][2] });
    }
    const all = [...found.values()].sort((a, b) => place(a.panel) - place(b.panel));
    const head = ["loss", "sharpness", "preconditioned"].map((panel) => all.find((one) => one.panel === panel)).filter(Boolean);
    return head.concat(all.filter((one) => !head.includes(one)));
  }

  // The order of the list: alike runs beside each other, by η, then by seed.
  const ordered = (runs) => runs.map((_, r) => r).sort((a, b) => runs[a].group - runs[b].group || (runs[a].rate || 0) - (runs[b].rate || 0) || runs[a].seed - runs[b].seed || a - b);

  // Runs that stand for all: spread over η, and none that blew up where others did not.
  function firstChoice(runs) {
    const calm = runs.map((_, r) => r).filter((r) => !blewUp(runs[r]));
    const all = (calm.length ? calm : runs.map((_, r) => r)).sort((a, b) => (runs[a].rate || 0) - (runs[b].rate || 0) || a - b);
    const count = Math.min(FIRST, all.length);
    return new Set(Array.from({ length: count }, (_, i) => all[count > 1 ? Math.round(i * (all.length - 1) / (count - 1)) : 0]));
  }

  function start(data, open) {
    const parent = document.getElementById("curves");
    if (!parent) return;
    const { runs } = data;
    const order = ordered(runs), looks = new Map();
    const group = { range: null, charts: [] };
    // All charts have the same steps: those of the chosen runs.
    const lasts = runs.map((run) => Math.max(0, ...run.curves.map((curve) => curve.x.reduce((a, b) => a + b, 0))));
    let xs = [0, 1];
    const cards = quantities(runs).map((one) => card(parent, one));
    const seen = new IntersectionObserver((entries) => entries.forEach((entry) => { if (entry.isIntersecting) cards.find((one) => one.host === entry.target).show(); }), { rootMargin: "200px" });
    cards.forEach((one) => seen.observe(one.host));
    // A chart draws when it comes into view, all of them for paper.
    window.addEventListener("beforeprint", () => { document.getElementById("side").open = true; cards.forEach((one) => one.show()); });
    const list = chooser(runs, order, looks, (changed) => {
      dress(changed);
      xs = [0, Math.max(1, ...[...changed].map((r) => lasts[r]))];
      cards.forEach((one) => { one.stale = true; one.seen() && one.show(); });
    }, (r) => cards.forEach((one) => one.emphasise(r)));
    list.choose(firstChoice(runs));

    // A chosen run keeps its colour and its dashes; no two of up to 64 look alike, and of more only colours are left.
    function dress(chosen) {
      for (const r of looks.keys()) if (!chosen.has(r)) looks.delete(r);
      const taken = new Set(looks.values());
      let free = 0;
      for (const r of order.filter((r) => chosen.has(r))) {
        if (looks.has(r)) continue;
        while (taken.has(free)) free += 1;
        looks.set(r, free);
        taken.add(free);
      }
    }

    function card(parent, one) {
      const host = parent.appendChild(document.createElement("div"));
      host.className = "card";
      const made = { host, stale: true, chart: null };
      const series = () => order.filter((r) => looks.has(r)).flatMap((r) => {
        const curve = runs[r].curves.find((curve) => curve.panel === one.panel && curve.label === one.label);
        const look = looks.get(r);
        return curve ? [{ name: runs[r].label, x: steps(curve.x), y: curve.y, e: looks.size > 4 ? undefined : curve.e, line: true, colour: look % 8, dash: looks.size > 64 ? 0 : Math.floor(look / 8), run: r }] : [];
      });
      made.seen = () => { const box = host.getBoundingClientRect(); return box.top < window.innerHeight + 200 && box.bottom > -200; };
      made.show = () => {
        if (!made.stale) return;
        made.stale = false;
        const drawn = series(), guides = levels([...looks.keys()].map((r) => runs[r]), one.panel, one.label);
        if (made.chart) { Charts.change(made.chart, { series: drawn, guides, xs }); return; }
        const spec = {
          ...one.options, subtitle: SUBTITLES[one.label] || one.options.subtitle, title: one.title, plain: false, file: one.title, xLabel: "step", xName: "step", yName: one.title, line: true, overlaid: true, height: 240, series: drawn, guides, xs,
          legendAside: () => !narrow.matches,
        };
        spec.open = (point) => open(spec.series[point.s].run);
        made.chart = Charts.lines(host, spec, group);
      };
      made.emphasise = (r) => { if (made.chart && !made.stale) Charts.emphasise(made.chart, made.chart.spec.series.findIndex((series) => series.run === r)); };
      return made;
    }
  }

  // The list of runs with their boxes; tells of every change of the choice, and of the run that is pointed at.
  function chooser(runs, order, looks, changed, pointedAt) {
    const side = document.getElementById("side"), list = document.getElementById("choice"), filter = document.getElementById("choose"), count = document.getElementById("chosen");
    const chosen = new Set();
    const items = order.map((r) => item(runs[r], r));
    list.append(...items.map((one) => one.row));
    const fitting = () => items.filter((one) => !one.row.hidden);
    const buttons = side.querySelector(".buttons");
    button("all", "Draw all runs of the list", () => fitting().forEach((one) => chosen.add(one.r)));
    button("few", "Draw a few runs, spread over η", () => { const left = fitting(); chosen.clear(); firstChoice(left.map((one) => runs[one.r])).forEach((i) => chosen.add(left[i].r)); });
    button("none", "Draw no run of the list", () => fitting().forEach((one) => chosen.delete(one.r)));
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const one of items) one.row.hidden = !words.every((word) => one.text.includes(word));
    });
    if (narrow.matches) side.open = false;
    narrow.addEventListener("change", () => { side.open = !narrow.matches; });

    function item(run, r) {
      const row = document.createElement("li"), label = document.createElement("label"), box = document.createElement("input"), words = document.createElement("span");
      box.type = "checkbox";
      box.addEventListener("change", () => { if (box.checked) chosen.add(r); else chosen.delete(r); update(); });
      const swatch = Charts.swatch(label);
      words.append(...Charts.lowered(run.label.replace(/(\S+) (\S+)(?= ·|$)/g, "$1\u00a0$2")));
      const about = document.createElement("small");
      about.textContent = [run.label === run.name ? "" : run.name, run.state === "completed" ? "" : run.state].filter(Boolean).join(" · ");
      label.prepend(box);
      label.append(words, about);
      row.append(label);
      row.addEventListener("pointerenter", () => { if (chosen.has(r)) pointedAt(r); });
      row.addEventListener("pointerleave", () => pointedAt(-1));
      box.addEventListener("focus", () => pointedAt(r));
      box.addEventListener("blur", () => pointedAt(-1));
      return { r, row, box, swatch, text: `${run.label} ${run.name} ${run.state}`.toLowerCase() };
    }

    function button(text, about, act) {
      const node = document.createElement("button");
      Object.assign(node, { type: "button", textContent: text, title: about });
      node.addEventListener("click", () => { act(); update(); });
      buttons.append(node);
    }

    function update() {
      changed(chosen);
      for (const { r, row, box, swatch } of items) {
        box.checked = chosen.has(r);
        row.classList.toggle("off", !box.checked);
        swatch.look(chosen.size > 64 && box.checked ? looks.get(r) % 8 : looks.get(r));
      }
      count.textContent = `${chosen.size} of ${runs.length}`;
    }

    return { choose: (first) => { first.forEach((r) => chosen.add(r)); update(); } };
  }

  return { start, PANELS, steps, levels, blewUp };
})();
