// How long Chromium takes over a page of `lyapunov report`: node bench/page_load.mjs report.html [CHROMIUM]
// (Node 22; before that, node --experimental-websocket.)
//
// Prints the size of the page, the time until its first charts are on the screen, the time until all runs are drawn over
// each other after "all" is clicked, and that of a move of the pointer over such a chart; the fastest of three loads. Each
// time holds that of taking a picture of the screen, which stands at the end.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const page = resolve(process.argv[2]);
const profile = mkdtempSync(join(tmpdir(), "page-load-"));
const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1440,900", "--remote-debugging-port=0", `--user-data-dir=${profile}`];
const browser = spawn(process.argv[3] || "chromium", [...flags, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });

const address = await new Promise((found) => {
  let said = "";
  browser.stderr.on("data", (text) => {
    said += text;
    const match = /ws:\/\/([^/]+)\//.exec(said);
    if (match) found(match[1]);
  });
});
const [target] = (await (await fetch(`http://${address}/json/list`)).json()).filter((one) => one.type === "page");
const socket = new WebSocket(target.webSocketDebuggerUrl);
await new Promise((open) => socket.addEventListener("open", open));

let calls = 0;
const waiting = new Map();
socket.addEventListener("message", (event) => {
  const { id, method, result } = JSON.parse(event.data);
  const wake = waiting.get(id || method);
  if (wake) { waiting.delete(id || method); wake(result); }
});
const call = (method, params = {}) => new Promise((done) => { waiting.set(++calls, done); socket.send(JSON.stringify({ id: calls, method, params })); });
const event = (name) => new Promise((done) => waiting.set(name, done));
// What an expression has done is on the screen when a picture of it is taken.
const painted = async (expression) => {
  const began = performance.now();
  await call("Runtime.evaluate", { expression: `(() => { ${expression} })()` });
  await call("Page.captureScreenshot", { format: "jpeg" });
  return performance.now() - began;
};

await call("Page.enable");
const best = { load: Infinity, all: Infinity, move: Infinity, still: Infinity };
const keep = (name, time) => { best[name] = Math.min(best[name], time); };
for (let i = 0; i < 3; i++) {
  const loaded = event("Page.loadEventFired"), began = performance.now();
  await call("Page.navigate", { url: `file://${page}` });
  await loaded;
  await painted("");
  keep("load", performance.now() - began);
  keep("all", await painted(`document.querySelector(".buttons button").click()`));
  const move = (share) => `const chart = document.querySelector("#curves svg.chart"), box = chart.getBoundingClientRect();
    chart.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + box.width * ${share}, clientY: box.top + box.height / 2, bubbles: true }))`;
  for (const share of [0.3, 0.5, 0.7]) keep("move", await painted(move(share)));
  keep("still", await painted(""));
}
const ms = (time) => `${Math.round(time)} ms`;
console.log(`${(statSync(page).size / 1e6).toFixed(1)} MB; first charts ${ms(best.load)}; all runs in all charts in view ${ms(best.all)}; pointer ${ms(best.move)}; a picture ${ms(best.still)}`);
await call("Browser.close");
browser.on("exit", () => rmSync(profile, { recursive: true, force: true, maxRetries: 9, retryDelay: 300 }));
