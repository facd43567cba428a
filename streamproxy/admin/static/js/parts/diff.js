// What became of documents: each difference with what stood there and what stands there now.

import { h } from "../dom.js";
import { many, shown } from "../format.js";
import { badge } from "./notice.js";

const KINDS = { created: "good", deleted: "bad", changed: "info" };

/** `documents` as the API gives them: [{document, action, before, after, diff}]. */
export function diffs(documents) {
  if (!documents.length) return h("p.muted", "Nothing changes.");
  return h("div.diffs", documents.map(one));
}

function one(change) {
  const whole = change.action === "created" ? change.after : change.before;
  return h(
    "section.diff",
    h("h3", badge(change.action, KINDS[change.action]), h("code", change.document)),
    change.action === "changed"
      ? table(change.diff)
      : h("details", { open: JSON.stringify(whole).length < 1500 }, h("summary", change.action === "created" ? "The new document" : "The document that goes"), h("pre.code", { class: change.action === "created" ? "added" : "removed", tabindex: "0" }, JSON.stringify(whole, null, 2))),
  );
}

function table(found) {
  return h(
    "div.table-scroll",
    h(
      "table.table.difference",
      h("caption.sr-only", many(found.length, "difference")),
      h("thead", h("tr", ["Field", "Before", "After"].map((label) => h("th", { scope: "col" }, label)))),
      h(
        "tbody",
        found.map((each) =>
          each.action === "more"
            ? h("tr", h("td", { colspan: "3" }, "… and more than can be shown"))
            : h(
                "tr",
                h("th", { scope: "row" }, h("code", each.path || "(everything)")),
                h("td", { dataset: { label: "Before" } }, each.action === "added" ? h("span.muted", "not there") : h("del", shown(each.before))),
                h("td", { dataset: { label: "After" } }, each.action === "removed" ? h("span.muted", "gone") : h("ins", shown(each.after))),
              ),
        ),
      ),
    ),
  );
}
