// Who are you? As a page of its own, or as a dialog over what somebody was doing.

import * as auth from "./auth.js";
import { Lost, who } from "./api.js";
import { fill, h } from "./dom.js";
import { mark } from "./icons.js";
import { open } from "./parts/dialog.js";
import { field, Fields, text } from "./parts/form.js";
import { notice } from "./parts/notice.js";

/** A form for credentials; `done()` is called when they were right. */
function form(done, { why } = {}) {
  const fields = new Fields();
  const told = h("div", { "aria-live": "assertive" });
  const key = text("", { type: "password", autocomplete: "current-password", name: "key", autofocus: true });
  const id = text("", { name: "id", autocomplete: "username" });
  const secret = text("", { type: "password", autocomplete: "current-password", name: "secret" });
  const byKey = h("div", field("API key", key, { path: "key", fields, hint: "One of admin.keys in the configuration file. If none is configured, the process made one up when it started and its log says which." }));
  const byClient = h("div", { hidden: true }, field("Client id", id, { path: "id", fields }), field("Client secret", secret, { path: "secret", fields, hint: "One of admin.clients, as Otoroshi's API takes them." }));
  const other = h("button.button.quiet.link", { type: "button", onclick: swap }, "Use a client id and secret");
  const submit = h("button.button.primary", { type: "submit" }, "Log in");

  function swap() {
    byClient.hidden = !byClient.hidden;
    byKey.hidden = !byClient.hidden;
    other.textContent = byKey.hidden ? "Use an API key" : "Use a client id and secret";
    (byKey.hidden ? id : key).focus();
  }

  async function send(event) {
    event.preventDefault();
    fields.clear();
    fill(told);
    const given = byKey.hidden ? { id: id.value, secret: secret.value } : { key: key.value };
    const missing = Object.entries(given).filter(([, value]) => !value);
    if (missing.length) {
      fields.tellAll(missing.map(([path]) => ({ path, message: "this is needed" })));
      return;
    }
    submit.disabled = true;
    try {
      const identity = await who(given);
      auth.keep(given);
      auth.become(identity);
      done();
    } catch (error) {
      submit.disabled = false;
      fill(told, problem(error));
      (byKey.hidden ? secret : key).focus();
    }
  }

  return h("form.login-form", { onsubmit: send, novalidate: true }, why ? notice("warn", why) : null, byKey, byClient, told, h("div.row", submit, other));
}

function problem(error) {
  if (error instanceof Lost) return notice("bad", "The API does not answer.", h("p", "See that the process runs and listens where this page came from, then try again. What you typed is still here."));
  if (error.status === 401) return notice("bad", "These credentials are not known here.", h("p", "Check for a missing character, and that they belong to this proxy: its configuration file lists them under admin."));
  return notice("bad", "You could not be logged in.", h("p", error.message));
}

/** The page of somebody who is not logged in. */
export function loginPage(done) {
  return h("main.login", { id: "main", tabindex: "-1" }, h("div.login-box", h("div.login-head", mark(), h("div", h("h1", "streamproxy"), h("p.muted", location.host))), form(done), h("p.muted.small", "Credentials stay in this tab and are forgotten when it is closed.")));
}

let asking = null;

/** Ask again because those there were do not do any more. Everybody who asks meanwhile waits for the same dialog. */
export function loginAgain() {
  asking ??= open("Log in again", (close) => ({
    body: form(() => close(true), { why: "Your credentials are not accepted any more: the key may have been changed or taken away. What you were doing goes on when you log in." }),
  })).then((answer) => {
    asking = null;
    return answer === true;
  });
  return asking;
}
