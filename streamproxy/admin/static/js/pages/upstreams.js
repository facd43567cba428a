// Upstreams: how their nodes are now, and the objects they are written as.

import * as auth from "../auth.js";
import { get, V1 } from "../api.js";
import { fill, h, keyed, say } from "../dom.js";
import { count, many, seconds, words } from "../format.js";
import { icon } from "../icons.js";
import { every } from "../poll.js";
import { badge, empty, failed } from "../parts/notice.js";
import { text } from "../parts/form.js";
import * as documents from "./documents.js";

const HEALTH = { healthy: "good", mostly_healthy: "good", mostly_unhealthy: "warn", unhealthy: "bad" };

export async function show(context) {
  const { element, path, onLeave } = context;
  if (path.length) return documents.show(context);
  const cards = h("div.cards");
  const told = h("div");
  let wanted = "";
  let found = [];
  const search = text("", { type: "search", placeholder: "Search …", "aria-label": "Search upstreams", oninput: (value) => ((wanted = value.toLowerCase()), draw()) });
  fill(
    element,
    h("header.page-head", h("h1", "Upstreams"), h("div.page-actions", search, auth.canWrite() ? h("a.button.primary", { href: "#/upstreams/new" }, icon("plus"), "Create an upstream") : null)),
    told,
    cards,
  );
  const poll = every(3, async () => {
    found = (await get(`${V1}upstreams`)).upstreams;
    draw();
  }, (error) => fill(told, failed(error, () => poll.now())));
  onLeave(poll.stop);
  await poll.first;
  return undefined;

  function draw() {
    const shown = found.filter((each) => !wanted || JSON.stringify([each.id, each.nodes.map((node) => node.node)]).toLowerCase().includes(wanted));
    keyed(cards, shown.slice(0, 200), (each) => each.id, card, update);
    if (found.length) fill(told, shown.length ? null : h("p.muted", "No upstream is like that."));
    else fill(told, empty("There are no upstreams.", "Upstreams are what routes lead to: nodes, and how they are chosen. TCP services bring their own.", auth.canWrite() ? h("a.button", { href: "#/upstreams/new" }, "Create an upstream") : null));
  }
}

function card(each) {
  const head = h("header.panel-head", h("h2", title(each)), h("span.muted.policy"), h("span.health"));
  const body = h("tbody");
  const made = h(
    "section.panel.upstream",
    head,
    h("div.table-scroll", h("table.table.compact", h("caption.sr-only", `Nodes of ${each.id}`), h("thead", h("tr", [["Node"], ["Health"], ["Weight", "end"], ["Sessions", "end"], ["Connect", "end"]].map(([label, align]) => h("th", { scope: "col", class: align }, label)))), body)),
    h("p.users.muted"),
  );
  update(made, each);
  return made;
}

function title(each) {
  const object = /^apisix:upstreams\/(.+)$/.exec(each.id);
  return object ? h("a", { href: `#/upstreams/${encodeURIComponent(object[1])}` }, h("code", each.id)) : h("code", each.id);
}

function update(made, each) {
  const sick = each.nodes.filter((node) => HEALTH[node.health] !== "good").length;
  say(made.querySelector(".policy"), `${words(each.policy)}${each.checked ? `, checked by ${each.probe ?? "probe"}` : ""}`);
  fill(made.querySelector(".health"), !each.nodes.length ? badge("no nodes", "bad") : sick ? badge(`${sick} of ${each.nodes.length} unwell`, sick === each.nodes.length ? "bad" : "warn") : each.checked ? badge(each.nodes.length === 1 ? "its node is well" : `all ${each.nodes.length} are well`, "good") : badge("not checked"));
  say(made.querySelector(".users"), each.users.length ? `Used by ${each.users.slice(0, 5).join(", ")}${each.users.length > 5 ? ` and ${many(each.users.length - 5, "more", "more")}` : ""}` : "Used by nothing");
  keyed(made.querySelector("tbody"), each.nodes.slice(0, 100), (node) => `${node.node} ${node.ip}`, (node) => nodeRow(node, each.checked), (row, node) => updateNode(row, node, each.checked));
}

function nodeRow(node, checked) {
  const cell = (label, align) => h("td", { class: align, dataset: { label } });
  const made = h("tr", h("th", { scope: "row" }, h("code", node.node), node.ip && node.ip !== node.host ? h("span.muted", ` ${node.ip}`) : null), cell("Health"), cell("Weight", "end"), cell("Sessions", "end"), cell("Connect", "end"));
  updateNode(made, node, checked);
  return made;
}

function updateNode(made, node, checked) {
  const [, health, weight, sessions, latency] = made.children;
  if (made.dataset.health !== `${node.health} ${node.detail}`) {
    made.dataset.health = `${node.health} ${node.detail}`;
    const assumed = !checked && node.health === "healthy";
    fill(health, assumed ? h("span.muted", { title: "Nobody asks it: without checks a node counts as healthy" }, "assumed healthy") : badge(words(node.health), HEALTH[node.health]), node.detail ? h("span.muted", ` ${node.detail}`) : null);
  }
  say(weight, node.weight ? count(node.weight) : "0, drained");
  say(sessions, count(node.sessions));
  say(latency, seconds(node.latency));
}
