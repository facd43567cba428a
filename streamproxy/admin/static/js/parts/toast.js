// One line that something was done, read out by screen readers and gone by itself.

import { h } from "../dom.js";

let place;

export function mountToasts() {
  place = h("div.toasts", { role: "status", "aria-live": "polite" });
  return place;
}

/** `kind`: "good" or "bad". What is bad stays until it is clicked away. */
export function toast(text, kind = "good") {
  const element = h("div.toast", { class: kind }, h("span", text), h("button.toast-close", { type: "button", "aria-label": "Dismiss", onclick: () => element.remove() }, "×"));
  place.append(element);
  if (kind === "good") setTimeout(() => element.remove(), 6000);
}
