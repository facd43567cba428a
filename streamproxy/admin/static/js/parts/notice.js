// Sentences in boxes: what is wrong, what is missing, what to do next.

import { h } from "../dom.js";
import { icon } from "../icons.js";

const ICONS = { bad: "stop", warn: "warn", info: "about", good: "check" };

export function notice(kind, title, ...rest) {
  return h("div.notice", { class: kind, role: kind === "bad" ? "alert" : undefined }, icon(ICONS[kind]), h("div", h("p.notice-title", title), ...rest));
}

/** Where there is nothing: why, and what to do about it. */
export function empty(title, text, ...actions) {
  return h("div.empty", h("p.empty-title", title), h("p", text), actions.length ? h("div.row", ...actions) : null);
}

/** What could not be read, with a way to try again. */
export function failed(error, again) {
  return notice("bad", "This could not be read.", h("p", error.message), again ? h("button.button", { type: "button", onclick: again }, "Try again") : null);
}

/** A badge: a word with a colour, which never stands alone. */
export function badge(text, kind = "") {
  return h("span.badge", { class: kind || undefined }, text);
}

/** A term and what it is, as rows of a list. */
export function facts(pairs) {
  return h(
    "dl.facts",
    pairs.filter((pair) => pair && pair[1] !== null && pair[1] !== undefined && pair[1] !== "").map(([term, value]) => h("div", h("dt", term), h("dd", value))),
  );
}
