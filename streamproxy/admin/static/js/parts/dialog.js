// Dialogs and drawers: the browser's own <dialog>, which keeps the focus inside, ends with Escape and gives it back.

import { fill, h, unique } from "../dom.js";
import { icon } from "../icons.js";

/**
 * Show a dialog. `content(close)` gives {body, footer}; `close(answer)` ends it. Answers what it was closed with,
 * undefined for Escape. `kind`: "dialog", "wide" or "drawer".
 */
export function open(title, content, { kind = "dialog", describedBy } = {}) {
  return new Promise((resolve) => {
    const name = unique("title");
    const opener = document.activeElement;
    const element = h(`dialog.${kind}`, { "aria-labelledby": name, "aria-describedby": describedBy });
    let answer;
    const close = (value) => {
      answer = value;
      element.close();
    };
    const heading = h("h2", { id: name, tabindex: "-1" }, title);
    const body = h("div.dialog-body");
    const footer = h("footer.dialog-foot");
    const show = (made) => {
      fill(body, made.body);
      fill(footer, made.footer ?? []);
      footer.hidden = !made.footer;
    };
    element.append(
      h(
        "header.dialog-head",
        heading,
        h("button.button.quiet.square", { type: "button", "aria-label": "Close", title: "Close (Esc)", onclick: () => close() }, icon("close")),
      ),
      body,
      footer,
    );
    show(content(close, show));
    element.addEventListener("click", (event) => {
      if (event.target === element && kind === "drawer") close();
    });
    const elsewhere = () => close();
    addEventListener("hashchange", elsewhere);
    element.addEventListener("close", () => {
      removeEventListener("hashchange", elsewhere);
      element.remove();
      if (opener?.isConnected) opener.focus();
      resolve(answer);
    });
    document.body.append(element);
    element.showModal();
    (element.querySelector("[autofocus]") ?? heading).focus();
  });
}

/** Ask before something that cannot be taken back at once. Answers true or false. */
export async function confirm(title, text, { verb = "Continue", danger = false } = {}) {
  const answer = await open(title, (close) => ({
    body: h("p", text),
    footer: [
      h("button.button", { type: "button", onclick: () => close(false), autofocus: true }, "Cancel"),
      h("button.button", { type: "button", class: danger ? "danger" : "primary", onclick: () => close(true) }, verb),
    ],
  }));
  return answer === true;
}
