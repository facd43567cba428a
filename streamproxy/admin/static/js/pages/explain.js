// Where a connection that nobody made would go.

import { get, Refused, V1, write } from "../api.js";
import { fill, h } from "../dom.js";
import { field, Fields, list, select, text, toggle } from "../parts/form.js";
import { empty, notice } from "../parts/notice.js";
import { whyView } from "../parts/why.js";
import { note } from "../router.js";

export async function show({ element, query }) {
  const { listeners } = await get(`${V1}listeners`);
  const fields = new Fields();
  const asked = { listener: query.get("listener") ?? listeners[0]?.address ?? "", peer: query.get("peer") ?? "", sni: query.get("sni") ?? "", http_host: query.get("http_host") ?? "", alpn: [], tls: query.get("tls") === "true", first_bytes: "" };
  const answer = h("div.answer", { "aria-live": "polite" });
  const told = h("div", { "aria-live": "assertive" });
  const known = listeners.map((each) => each.address);
  const other = text(known.includes(asked.listener) ? "" : asked.listener, { placeholder: "tcp 127.0.0.1:443", oninput: (value) => (asked.listener = value) });
  const otherField = field("Address", other, { hint: "Where nothing may listen: tcp or udp, an address and a port." });
  otherField.hidden = known.includes(asked.listener);
  const listener = select(otherField.hidden ? asked.listener : "", [...known, ["", "Another address …"]], {
    onchange: (value) => {
      otherField.hidden = value !== "";
      asked.listener = value || other.value;
    },
  });
  const bytes = h("span.muted", "none");
  const form = h(
    "form.panel.question",
    { onsubmit: send, novalidate: true },
    field("Connects to", listener, { path: "listener", fields }),
    otherField,
    field("From", text(asked.peer, { placeholder: "203.0.113.7", oninput: (value) => (asked.peer = value.trim()) }), { path: "peer", fields, hint: "The client's address, perhaps with a port." }),
    field("Asks for, in its TLS handshake (SNI)", text(asked.sni, { placeholder: "db.example.com", oninput: (value) => (asked.sni = value.trim()) }), { path: "sni", fields }),
    toggle("Speaks TLS", asked.tls, { onchange: (value) => (asked.tls = value), path: "tls", fields, hint: "A client that names a server in its handshake does anyway." }),
    field("Asks for, in an HTTP request (Host)", text(asked.http_host, { placeholder: "www.example.com", oninput: (value) => (asked.http_host = value.trim()) }), { path: "http_host", fields }),
    list("ALPN", [], { onchange: (value) => (asked.alpn = value), path: "alpn", fields }),
    h("div.field", h("span.label", "First bytes"), h("div.row", h("button.button", { type: "button", onclick: take }, "Take them from a file …"), bytes), h("p.field-hint", "A saved ClientHello or request. What it says counts in place of the fields above.")),
    told,
    h("div.row", h("button.button.primary", { type: "submit" }, "Explain")),
  );
  fill(
    element,
    h("header.page-head", h("h1", "Explain"), h("p.lead", "Where would a connection go, and why? Nothing is sent: the decision is taken as if.")),
    h("div.split.narrow-first", form, answer),
  );
  fill(answer, empty("Describe a connection.", "Every rule is shown in order, with what it looked at and why it won or lost, and the nodes it could have gone to."));
  if (query.has("sni") || query.has("peer") || query.has("http_host")) await send();

  async function take() {
    const file = await chooseBytes();
    if (!file) return;
    asked.first_bytes = file.base64;
    fill(bytes, `${file.size} bytes of ${file.name} `, h("button.button.quiet.small", { type: "button", onclick: () => ((asked.first_bytes = ""), fill(bytes, "none")) }, "Forget them"));
  }

  async function send(event) {
    event?.preventDefault();
    fields.clear();
    fill(told);
    const question = Object.fromEntries(Object.entries(asked).filter(([, value]) => value && value.length !== 0));
    note(`#/explain?${new URLSearchParams(Object.entries(question).filter(([name]) => !["alpn", "first_bytes"].includes(name)))}`);
    try {
      const { value } = await write("POST", `${V1}explain`, question);
      fill(answer, h("section.panel.pad", h("h2.sr-only", "The explanation"), value.problems?.length ? notice("warn", "The configuration has problems.") : null, whyView(value)));
    } catch (error) {
      const homeless = error instanceof Refused ? fields.tellAll(error.problems) : [];
      if (!(error instanceof Refused) || !error.problems.length || homeless.length) fill(told, notice("bad", "This cannot be explained.", h("p", homeless.length ? homeless.map((each) => `${each.path}: ${each.message}`).join("; ") : error.message)));
    }
  }
}

function chooseBytes() {
  return new Promise((resolve) => {
    const input = h("input.sr-only", { type: "file", "aria-label": "File with the first bytes", tabindex: "-1" });
    input.addEventListener("change", async () => {
      const file = input.files[0];
      input.remove();
      if (!file) return resolve(null);
      const data = new Uint8Array(await file.slice(0, 80 * 1024).arrayBuffer());
      return resolve({ name: file.name, size: data.length, base64: btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join("")) });
    });
    input.addEventListener("cancel", () => (input.remove(), resolve(null)));
    document.body.append(input);
    input.click();
  });
}
