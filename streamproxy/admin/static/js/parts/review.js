// Before a write: what it would change, and who would be routed elsewhere. Then, if that is what is wanted, the write.

import { Refused, write } from "../api.js";
import { h } from "../dom.js";
import { many } from "../format.js";
import { monitor } from "../monitor.js";
import { diffs } from "./diff.js";
import { open } from "./dialog.js";
import { field, select, text } from "./form.js";
import { badge, notice } from "./notice.js";
import { toast } from "./toast.js";

const WITHIN = [
  ["", "Keep it"],
  ["60s", "Take it back after 1 minute unless I confirm"],
  ["5m", "Take it back after 5 minutes unless I confirm"],
  ["30m", "Take it back after 30 minutes unless I confirm"],
];

/**
 * Try `method path body` without writing, show what would happen, and write it where that is agreed on. Raises Refused
 * where it would be refused, so that the form can say so beside its fields. Answers {value, tag, revision, choice}, or
 * undefined where the user would rather not. `verbs`: [[choice, label, danger]], the first is the main one.
 */
export async function review({ title, method, path, body, tag, query, verbs, done }) {
  const options = { query, tag };
  const { value: rehearsal } = await write(method, path, body, { ...options, query: { ...query, dry_run: "true" } });
  const answer = await open(title, (close, show) => form(rehearsal, verbs, close, show, send), { kind: "wide" });
  if (answer) {
    toast(done ?? "Saved.");
    monitor.refresh();
  }
  return answer;

  async function send(choice, reason, within) {
    const written = await write(method, path, body, { ...options, reason, query: { ...query, confirm_within: within } });
    return { ...written, choice };
  }
}

function form(rehearsal, verbs, close, show, send) {
  const reason = text("", { maxlength: "300", placeholder: "optional, kept with the revision" });
  const within = select("", WITHIN);
  const told = h("div", { "aria-live": "assertive" });
  const buttons = verbs.map(([choice, label, danger], index) =>
    h("button.button", { type: "button", class: danger ? "danger" : index === 0 ? "primary" : undefined, onclick: () => go(choice) }, label),
  );
  async function go(choice) {
    for (const button of buttons) button.disabled = true;
    told.replaceChildren();
    try {
      close(await send(choice, reason.value.trim(), within.value));
    } catch (error) {
      told.replaceChildren(notice("bad", "It was not saved.", h("p", error.message)));
      for (const button of buttons) button.disabled = false;
    }
  }
  return {
    body: [outlook(rehearsal), h("div.columns", field("Why", reason), field("And then", within)), told],
    footer: [h("button.button", { type: "button", onclick: () => close() }, "Back"), h("span.grow"), ...buttons.reverse()],
  };
}

/** What a rehearsal says. */
export function outlook(rehearsal) {
  const { sessions, documents, listeners, routes } = rehearsal;
  return h(
    "div.outlook",
    traffic(sessions),
    h("section", h("h3", "What changes"), diffs(documents)),
    listeners.length || routes.length
      ? h(
          "section",
          h("h3", "What that does"),
          h(
            "ul.effects",
            listeners.map((each) => h("li", badge(each.what, effect(each.what)), " listener ", h("code", each.listener))),
            routes.map((each) => h("li", badge(each.what, effect(each.what)), " route ", h("code", each.route))),
          ),
        )
      : null,
  );
}

function effect(what) {
  return { begins: "good", ends: "bad" }[what] ?? "info";
}

function traffic(sessions) {
  if (!sessions.recent) return notice("info", "There were no sessions lately, so nobody can be said to be routed elsewhere.");
  const unknown = sessions.unknown ? h("p", `Of ${many(sessions.unknown, "session")} nobody can tell: what would be asked about them was not looked at.`) : null;
  if (!sessions.elsewhere) {
    return notice("good", `None of the last ${many(sessions.recent, "session")} would go elsewhere.`, unknown);
  }
  return notice(
    "warn",
    `${many(sessions.elsewhere, "of the last sessions", "of the last sessions")} would go elsewhere (of ${sessions.recent}).`,
    unknown,
    h(
      "div.table-scroll",
      h(
        "table.table.compact",
        h("caption", "For example"),
        h("thead", h("tr", ["Went to", "Would go to", "Client"].map((label) => h("th", { scope: "col" }, label)))),
        h(
          "tbody",
          alike(sessions.examples).map(([first, ...others]) =>
            h(
              "tr",
              h("td", { dataset: { label: "Went to" } }, first.before),
              h("td", { dataset: { label: "Would go to" } }, h("strong", first.after)),
              h("td", { dataset: { label: "Client" } }, h("code", first.client), first.name ? ` for ${first.name}` : null, others.length ? h("span.muted", ` and ${many(others.length, "other")} like it`) : null),
            ),
          ),
        ),
      ),
    ),
  );
}

/** Those that went and would go to the same places, together. */
function alike(examples) {
  const groups = new Map();
  for (const each of examples) {
    const key = JSON.stringify([each.before, each.after]);
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  return [...groups.values()];
}

/** Delete after showing what that does. Answers whether it is gone. */
export async function reviewDelete(what, path, { tag, query } = {}) {
  try {
    const answer = await review({ title: `Delete ${what}?`, method: "DELETE", path, tag, query, verbs: [["delete", "Delete", true]], done: `${what} is deleted. Revisions can bring it back.` });
    return Boolean(answer);
  } catch (error) {
    if (!(error instanceof Refused) && error.name === "AbortError") throw error;
    toast(error.message, "bad");
    return false;
  }
}
