// Every write: what it changed, and the way back.

import * as auth from "../auth.js";
import { get, V1 } from "../api.js";
import { fill, h } from "../dom.js";
import { absolute, ago, many } from "../format.js";
import { icon } from "../icons.js";
import { monitor } from "../monitor.js";
import { diffs } from "../parts/diff.js";
import { badge, empty, facts } from "../parts/notice.js";
import { review } from "../parts/review.js";
import { field, text } from "../parts/form.js";
import { toast } from "../parts/toast.js";
import { go, place } from "../router.js";

export async function show(context) {
  return context.path.length ? one(context) : list(context);
}

async function list({ element, onLeave }) {
  const body = h("tbody");
  const more = h("div.row.center");
  let next = null;

  const read = async (before) => {
    const found = await get(`${V1}revisions`, { limit: 30, before });
    if (before === undefined) fill(body);
    body.append(...found.revisions.map((each) => row(each, found.revision)));
    next = found.next;
    fill(more, next ? h("button.button", { type: "button", onclick: () => read(next) }, "Show older ones") : null);
    return found.revisions.length;
  };
  const there = await read();
  const from = text("", { inputmode: "numeric", class: "number small", placeholder: "from" });
  const to = text("", { inputmode: "numeric", class: "number small", placeholder: "to" });
  fill(
    element,
    h("header.page-head", h("h1", "Revisions"), h("p.lead", "Every change of the configuration, whoever made it and through whichever API. Each can be looked at, compared and gone back to.")),
    there
      ? [
          h("form.toolbar", { "aria-label": "Compare two revisions", onsubmit: compare }, field("Compare revision", from), field("with", to), h("div.field.end", h("button.button", { type: "submit" }, "Compare"))),
          h("div.table-box", h("div.table-scroll", h("table.table", h("caption.sr-only", "Revisions"), h("thead", h("tr", ["Revision", "When", "Who", "Why", "What"].map((label) => h("th", { scope: "col" }, label)), h("th", { scope: "col" }, h("span.sr-only", "Actions")))), body)), more),
        ]
      : empty("Nothing was changed yet.", "As soon as something is written through an API, or with this page, it is kept here."),
  );
  const again = () => read();
  monitor.addEventListener("revision", again);
  onLeave(() => monitor.removeEventListener("revision", again));

  function compare(event) {
    event.preventDefault();
    if (/^\d+$/.test(from.value.trim()) && /^\d+$/.test(to.value.trim())) go(`#/revisions/${from.value.trim()}..${to.value.trim()}`);
    else toast("A revision is a number: give two of them, the older one first.", "bad");
  }
}

function row(each, current) {
  const link = `#/revisions/${each.number}`;
  return h(
    "tr.link",
    { onclick: (event) => !event.target.closest("a, button") && !getSelection().toString() && (location.hash = link) },
    h("th", { scope: "row", dataset: { label: "Revision" } }, h("a", { href: link }, h("span.num", each.number)), " ", each.number === current ? badge("in force", "good") : null, each.pending ? badge("unconfirmed", "warn") : null),
    h("td", { dataset: { label: "When" } }, ago(each.time)),
    h("td", { dataset: { label: "Who" } }, each.author || h("span.muted", "the process")),
    h("td", { dataset: { label: "Why" } }, each.reason || h("span.muted", "–")),
    h("td", { dataset: { label: "What" } }, each.names.slice(0, 2).map((name, index) => [index ? ", " : null, h("code", name)]), each.changes > 2 ? h("span.muted", ` and ${many(each.changes - 2, "more", "more")}`) : null),
    h("td.end.actions", auth.canWrite() && each.number !== current ? h("button.button.small", { type: "button", "aria-label": `Roll back to revision ${each.number}`, onclick: () => rollBack(each.number) }, icon("undo"), "Roll back") : null),
  );
}

async function one({ element, path, title, onLeave, again }) {
  const name = path[0];
  const found = await get(`${V1}revisions/${encodeURIComponent(name)}`);
  const ends = /^(\d+)\.\.(\d+)$/.exec(name);
  const heading = ends ? `From revision ${ends[1]} to ${ends[2]}` : `Revision ${name}`;
  const current = monitor.status?.revision;
  title(heading);
  fill(
    element,
    h(
      "header.page-head",
      h("nav.crumbs", { "aria-label": "Where this is" }, h("a", { href: "#/revisions" }, "Revisions")),
      h("h1", heading),
      found.number !== undefined && found.number === current ? badge("in force", "good") : null,
      h("div.page-actions", !ends && current && found.number < current ? h("a.button", { href: `#/revisions/${found.number}..${current}` }, "Compare with now") : null, !ends && auth.canWrite() && found.number !== current ? h("button.button.primary", { type: "button", onclick: () => rollBack(found.number) }, icon("undo"), "Roll back to this …") : null, !ends && auth.canWrite() && found.number === current && current > 0 ? h("button.button", { type: "button", onclick: () => rollBack(current - 1) }, icon("undo"), "Undo this …") : null),
    ),
    ends ? null : facts([["When", h("span", absolute(found.time), " (", ago(found.time), ")")], ["Who", found.author || "the process"], ["Why", found.reason], ["Pending", found.pending ? h("span", "taken back ", ago(found.pending.deadline), " unless confirmed") : null]]),
    h("section", h("h2", ends ? "What is not the same" : "What it changed"), diffs(found.documents)),
  );
  monitor.addEventListener("revision", again);
  onLeave(() => monitor.removeEventListener("revision", again));
}

/** Show what going back would do, and go. */
async function rollBack(number) {
  try {
    const answer = await review({ title: number ? `Roll back to revision ${number}?` : "Roll back to the beginning?", method: "POST", path: `${V1}revisions/${number}/rollback`, verbs: [["roll", "Roll back"]], done: `Everything is as it was at revision ${number}.` });
    if (answer && place().path[0] === "revisions") go("#/revisions");
  } catch (error) {
    toast(error.message, "bad");
  }
}
