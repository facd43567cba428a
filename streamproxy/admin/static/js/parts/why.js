// Why a connection goes where it does: the explanation, from the first byte to the end.

import { h } from "../dom.js";
import { many, NONE, seconds, words } from "../format.js";
import { icon } from "../icons.js";
import { badge, facts } from "./notice.js";

const SOURCES = {
  pinned: "by the configuration it was accepted with",
  restored: "by the configuration of that time, restored from the history",
  current: "by the configuration of now: that of the time is forgotten",
  candidate: "by the configuration of now with what you gave put beside it",
};
const HEALTH = { healthy: "good", mostly_healthy: "good", mostly_unhealthy: "warn", unhealthy: "bad" };
const VERDICTS = { passed: "good", rejected: "bad", skipped: "", not_asked: "", unknown: "warn" };
const OUTCOMES = { won: "good", lost: "" };

/** `details`: what else is known of it, shown behind the conclusion. */
export function whyView(why, details = null) {
  return h(
    "div.why",
    conclusion(why.ending),
    details,
    h("p.muted.small", `Decided at revision ${why.revision}, ${why.session || why.source !== "current" ? (SOURCES[why.source] ?? why.source) : "by the configuration of now"}.`),
    h(
      "ol.steps",
      step("Connection", connection(why)),
      why.listener ? step("Listener", listener(why.listener)) : null,
      why.certificate ? step("Certificate", certificate(why.certificate)) : null,
      why.rules ? step(`Rules, ${order(why.rules.order)}`, rules(why.rules)) : null,
      why.plugins.length ? step("Plugins", plugins(why.plugins)) : null,
      why.upstream ? step("Node", upstream(why.upstream)) : null,
      step("End", h("p", why.ending.words), why.ending.advice ? h("p.advice", advice(why.ending.advice)) : null),
    ),
    h("details.raw", h("summary", "The same as text"), h("pre.code", { tabindex: "0" }, why.text)),
  );
}

function order(name) {
  return { first: "the first that matches wins", specific: "the most specific that matches wins" }[name] ?? name;
}

function conclusion(ending) {
  const good = ["client_closed", "target_closed", "relayed", "relaying", "shutdown"].includes(ending.ending);
  return h("div.conclusion", { class: good ? "good" : "bad" }, h("p.conclusion-word", icon(good ? "check" : "stop"), capital(words(ending.ending))), h("p", ending.words.replace("the nodes above", "the nodes below")));
}

function step(title, ...content) {
  return h("li.step", h("h3", title), ...content);
}

function connection(why) {
  const seen = why.connection;
  return [
    facts([
      ["Client", h("code", seen.peer)],
      ["Arrived at", h("code", seen.listener)],
      ["TLS", seen.tls ? "yes" : "no"],
      ["SNI", seen.sni && h("code", seen.sni)],
      ["ALPN", seen.alpn.length ? h("code", seen.alpn.join(", ")) : null],
      ["HTTP host", seen.http_host && h("code", seen.http_host)],
      ["Handshake", seen.handshake && [seen.handshake.version, seen.handshake.cipher].filter(Boolean).join(", ")],
      ["Client certificate", seen.handshake?.client?.subject],
    ]),
    why.notes.length ? h("ul.notes", why.notes.map((note) => h("li", note))) : null,
  ];
}

function listener(seen) {
  return facts([
    ["Address", h("code", seen.address)],
    ["Owner", h("code", seen.owner)],
    ["TLS", seen.tls],
    ["Client certificates", seen.client_auth === "None" ? null : seen.client_auth],
    ["State", seen.state],
    ["Error", seen.error],
  ]);
}

function certificate(seen) {
  return [
    h("p", seen.id ? h("code", seen.id) : "none", seen.why ? `: ${seen.why}` : ""),
    seen.candidates.length
      ? h("ul.candidates", seen.candidates.map((each) => h("li", { class: each.won ? "won" : undefined }, h("code", each.name), " ", h("span.muted", each.id), `: ${each.why}`)))
      : null,
  ];
}

function rules(seen) {
  if (!seen.considered.length) return h("p", "There are no rules here.");
  return [
    h(
      "ol.rules",
      seen.considered.map((rule) =>
        h(
          "li.rule",
          { class: rule.outcome === "won" ? "won" : undefined },
          h("div.rule-head", rule.outcome === "won" ? icon("check") : icon("dot"), h("code", rule.route), rule.name && rule.name !== rule.route ? h("span", rule.name) : null, badge(words(rule.outcome), OUTCOMES[rule.outcome] ?? "")),
          verdict(rule),
          rule.conditions.length && rule.outcome !== "not reached"
            ? h(
                "table.table.compact.conditions",
                h("caption.sr-only", `Conditions of ${rule.route}`),
                h("thead", h("tr", ["Looks at", "Wants", "Saw", ""].map((label) => h("th", { scope: "col" }, label || h("span.sr-only", "Held"))))),
                h("tbody", rule.conditions.map((each) => h("tr", h("th", { scope: "row" }, each.field), h("td", { dataset: { label: "Wants" } }, h("code", wanted(each))), h("td", { dataset: { label: "Saw" } }, h("code", each.saw ?? "nothing")), h("td", each.held === null || each.held === undefined ? badge("not looked at") : each.held ? badge("holds", "good") : badge("fails", "bad"))))),
              )
            : null,
        ),
      ),
    ),
    seen.left_out ? h("p.muted", `… and ${many(seen.left_out, "rule")} more that did not match.`) : null,
    seen.winner ? null : h("p", h("strong", "None of them matches.")),
  ];
}

/** What the table of conditions does not say. */
function verdict(rule) {
  if (rule.outcome === "won") return rule.conditions.length ? null : h("p.rule-why", "it matches everything");
  return rule.outcome === "lost" && rule.conditions.length ? null : h("p.rule-why", rule.verdict);
}

function wanted(condition) {
  const wants = Array.isArray(condition.wants) ? condition.wants.join(", ") : condition.wants;
  return condition.by && condition.by !== wants ? `${wants} (by ${condition.by})` : String(wants ?? NONE);
}

function plugins(seen) {
  return h("ul.plugins", seen.map((each) => h("li", badge(words(each.verdict), VERDICTS[each.verdict]), " ", h("code", each.name), each.code ? ` (${each.code})` : "", each.why ? `: ${each.why}` : "")));
}

function upstream(seen) {
  return [
    h("p", h("code", seen.id), ` by ${words(seen.policy)}`, seen.hashed ? [" of ", h("code", seen.hashed)] : "", seen.chosen_by ? `, chosen by ${seen.chosen_by}` : ""),
    h(
      "div.table-scroll",
      h(
        "table.table.compact",
        h("caption.sr-only", `Nodes of ${seen.id}`),
        h("thead", h("tr", ["Node", "Weight", "Health", "Sessions", "Connect", "Why"].map((label) => h("th", { scope: "col", class: ["Weight", "Sessions", "Connect"].includes(label) ? "end" : undefined }, label)))),
        h(
          "tbody",
          seen.nodes.map((node) =>
            h(
              "tr",
              { class: node.picked ? "won" : undefined },
              h("th", { scope: "row" }, node.picked ? icon("check") : null, h("code", node.label), node.picked ? h("span.sr-only", " (picked)") : null),
              h("td.end", { dataset: { label: "Weight" } }, node.weight),
              h("td", { dataset: { label: "Health" } }, badge(words(node.health), HEALTH[node.health])),
              h("td.end", { dataset: { label: "Sessions" } }, node.sessions),
              h("td.end", { dataset: { label: "Connect" } }, seconds(node.latency)),
              h("td", { dataset: { label: "Why" } }, node.why),
            ),
          ),
        ),
      ),
    ),
  ];
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What stands in backquotes is code. */
function advice(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", part) : part));
}
