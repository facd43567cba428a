// What goes on: plots of the last minutes, listeners, and what is wrong.

import { fill, h, keyed, say } from "../dom.js";
import { bytes, count, many, rate, seconds, words } from "../format.js";
import { icon } from "../icons.js";
import { monitor, WINDOW } from "../monitor.js";
import { badge, empty, notice } from "../parts/notice.js";
import { livePlot } from "../parts/plot.js";

/** How each group of endings looks; everything that is in none is a refusal or a failure. */
const GROUPS = [
  { label: "Closed", swatch: "s1", colour: "--plot-1", reasons: ["client_closed", "target_closed", "shutdown", "killed"] },
  { label: "Reset", swatch: "s2", colour: "--plot-3", reasons: ["client_reset", "target_reset", "client_gone"] },
  { label: "Timed out", swatch: "s3", colour: "--plot-4", reasons: ["idle_timeout", "sniff_timeout", "handshake_timeout", "connect_timeout", "queue_timeout", "max_duration"] },
  { label: "Failed", swatch: "s4", colour: "--plot-5", reasons: null },
];
const BUCKET = 10;
const STATES = { listening: "good", failed: "bad", draining: "warn" };

export async function show({ element, onLeave }) {
  const figures = ["Sessions", "New sessions", "To targets", "To clients", "Revision", "Up"].map((label) => ({ label, value: h("dd.num", "–") }));
  const sessions = livePlot({ title: "Sessions", series: [{ label: "open", swatch: "s1", colour: "--plot-1", area: "--plot-1-area", show: count }], axis: count, smallest: 5 });
  const bandwidth = livePlot({
    title: "Bandwidth",
    series: [
      { label: "to targets", swatch: "s1", colour: "--plot-1", show: rate },
      { label: "to clients", swatch: "s5", colour: "--plot-2", show: rate },
    ],
    axis: rate,
    smallest: 1000,
  });
  const ends = livePlot({ title: "Ends by reason", stacked: true, series: GROUPS.map((group) => ({ ...group, show: count })), axis: (value) => (Number.isInteger(value) ? count(value) : ""), smallest: 5 });
  const reasons = h("div.panel-body");
  const listeners = h("div");
  const problems = h("div");

  fill(
    element,
    h("header.page-head", h("h1", "Overview")),
    problems,
    h("dl.figures", figures.map(({ label, value }) => h("div", h("dt", label), value))),
    h("div.plots", sessions.element, bandwidth.element, ends.element),
    h("div.split", h("section.panel", h("header.panel-head", h("h2", "Listeners"), h("a.panel-link", { href: "#/listeners" }, "Configure")), listeners), h("section.panel", h("header.panel-head", h("h2", "How sessions ended"), h("span.muted", "since the start")), reasons)),
  );

  const draw = () => {
    const { status, samples } = monitor;
    if (!status) return;
    const now = samples.at(-1);
    [count(status.sessions), now ? `${now.accepted.toFixed(now.accepted < 10 ? 1 : 0)}/s` : "–", rate(now?.in), rate(now?.out), count(status.revision), seconds(Math.floor(status.uptime))].forEach((text, index) => say(figures[index].value, text));
    const times = samples.map((each) => each.time);
    sessions.data(times, [samples.map((each) => each.sessions)]);
    bandwidth.data(times, [samples.map((each) => each.in), samples.map((each) => each.out)]);
    const buckets = bucketed(samples);
    ends.data(buckets.times, buckets.values);
    drawProblems(problems);
    drawListeners(listeners);
    drawReasons(reasons);
  };
  monitor.addEventListener("change", draw);
  onLeave(() => {
    monitor.removeEventListener("change", draw);
    for (const plot of [sessions, bandwidth, ends]) plot.destroy();
  });
  await monitor.start();
  draw();
}

function bucketed(samples) {
  const now = Math.floor(Date.now() / 1000 / BUCKET) * BUCKET;
  const times = [];
  for (let time = now - WINDOW; time <= now; time += BUCKET) times.push(time);
  const values = GROUPS.map(() => times.map(() => 0));
  for (const sample of samples) {
    const at = times.indexOf(Math.floor(sample.time / BUCKET) * BUCKET);
    if (at < 0) continue;
    for (const [reason, number] of Object.entries(sample.ended)) values[groupOf(reason)][at] += number;
  }
  return { times, values };
}

function groupOf(reason) {
  const found = GROUPS.findIndex((group) => group.reasons?.includes(reason));
  return found < 0 ? GROUPS.length - 1 : found;
}

function drawProblems(place) {
  const failing = monitor.listeners.filter((each) => each.state === "failed");
  const found = [...monitor.problems.map((each) => [each.path, each.message]), ...failing.map((each) => [each.address, `does not listen: ${each.error}${each.retry_in ? `; tried again in ${seconds(each.retry_in)}` : ""}`])];
  const key = JSON.stringify([monitor.problems, failing.map((each) => [each.address, each.error])]);
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  if (!found.length) fill(place);
  else fill(place, notice("warn", `${many(found.length, "problem")} with the configuration`, h("ul.problems", found.slice(0, 20).map(([path, message]) => h("li", path ? [h("code", path), " "] : null, message))), found.length > 20 ? h("p", `… and ${found.length - 20} more.`) : null));
}

function drawListeners(place) {
  const { listeners } = monitor;
  if (!listeners.length) {
    if (place.dataset.key !== "none") {
      place.dataset.key = "none";
      fill(place, empty("Nothing listens yet.", "A TCP service listens for itself; stream routes need listeners, which the configuration file or the page Listeners opens.", h("a.button.primary", { href: "#/tcp-services/new" }, icon("plus"), "Create a TCP service")));
    }
    return;
  }
  let body = place.querySelector("tbody");
  if (!body) {
    delete place.dataset.key;
    body = h("tbody");
    const heads = [["Address"], ["State"], ["Owner"], ["TLS"], ["Open", "end"], ["Accepted", "end"], ["To targets", "end"], ["To clients", "end"]];
    fill(place, h("div.table-scroll", h("table.table.listeners", h("caption.sr-only", "Listeners"), h("thead", h("tr", heads.map(([label, align]) => h("th", { scope: "col", class: align }, label)))), body)));
  }
  keyed(body, listeners.slice(0, 200), (each) => each.address, listenerRow, updateRow);
}

function listenerRow(each) {
  const cell = (label, align) => h("td", { class: align, dataset: { label } });
  const row = h("tr", h("th", { scope: "row" }, h("a", { href: `#/sessions?listener=${encodeURIComponent(each.address)}&state=live` }, h("code", each.address))), cell("State"), cell("Owner"), cell("TLS"), cell("Open", "end"), cell("Accepted", "end"), cell("To targets", "end"), cell("To clients", "end"));
  updateRow(row, each);
  return row;
}

function updateRow(row, each) {
  const [, state, owner, tls, open, accepted, sent, received] = row.children;
  if (row.dataset.state !== `${each.state} ${each.tls} ${each.owner}`) {
    row.dataset.state = `${each.state} ${each.tls} ${each.owner}`;
    fill(state, badge(each.state, STATES[each.state] ?? ""));
    fill(owner, ownerLink(each));
    fill(tls, each.tls === "Disabled" ? h("span.muted", "–") : each.tls === "Enabled" ? "terminated" : "passed through");
  }
  say(open, count(each.sessions));
  say(accepted, count(each.accepted));
  say(sent, bytes(each.bytes_in));
  say(received, bytes(each.bytes_out));
}

function ownerLink(each) {
  const document = each.documents.find(({ dialect, kind }) => dialect === "otoroshi" && kind === "tcp-services");
  if (each.documents.length === 1 && document) return h("a", { href: `#/tcp-services/${encodeURIComponent(document.id)}` }, document.id);
  return h("span", each.owner);
}

function drawReasons(place) {
  const totals = new Map();
  for (const each of monitor.listeners) for (const [reason, number] of Object.entries(each.ended)) totals.set(reason, (totals.get(reason) ?? 0) + number);
  const found = [...totals].sort((one, other) => other[1] - one[1]);
  const key = JSON.stringify(found);
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  const all = found.reduce((sum, [, number]) => sum + number, 0);
  if (!all) {
    fill(place, h("p.muted.pad", "No session has ended yet."));
    return;
  }
  fill(
    place,
    h(
      "ul.bars",
      found.map(([reason, number]) => {
        const bar = h("span.bar", { class: GROUPS[groupOf(reason)].swatch });
        bar.style.setProperty("--share", String(number / all));
        return h("li", h("a", { href: `#/sessions?ending=${reason}` }, h("span.bar-label", words(reason)), h("span.num", count(number))), bar);
      }),
    ),
  );
}
