// Who may do what, and how this page looks.

import * as auth from "../auth.js";
import { get, V1 } from "../api.js";
import { fill, h } from "../dom.js";
import { bytes } from "../format.js";
import { badge, facts, notice } from "../parts/notice.js";
import { setTheme, theme, THEMES } from "../theme.js";

export async function show({ element }) {
  const access = await get(`${V1}access`);
  fill(
    element,
    h("header.page-head", h("h1", "Settings")),
    h(
      "section.panel.pad",
      h("h2", "Who may do what"),
      access.credentials_required ? null : notice("warn", "No credentials are asked for.", h("p", "Whoever can reach the Admin API may change everything. Set admin_key_required in the configuration file, or let it listen on loopback only.")),
      access.credentials.length
        ? h("div.table-scroll", h("table.table", h("caption.sr-only", "Keys and clients"), h("thead", h("tr", ["Name", "Kind", "Role"].map((label) => h("th", { scope: "col" }, label)))), h("tbody", access.credentials.map((each) => h("tr", h("th", { scope: "row", dataset: { label: "Name" } }, each.name, each.name === auth.identity.name ? [" ", badge("you", "info")] : null), h("td", { dataset: { label: "Kind" } }, each.kind === "key" ? "API key" : "client id and secret"), h("td", { dataset: { label: "Role" } }, badge(each.role, each.role === "admin" ? "info" : ""), each.role === "viewer" ? h("span.muted", " may read only") : null))))))
        : h("p.muted", "None is configured: a key was made up when the process started, and its log says which."),
      h("p.muted.small", "Keys and secrets are written in the configuration file, under admin, and shown nowhere."),
    ),
    h(
      "section.panel.pad",
      h("h2", "The Admin API"),
      facts([
        ["Listens on", h("code", access.listen)],
        ["TLS", access.tls ? "yes" : "no"],
        ["Lets in", access.allowed_addresses ? h("code", access.allowed_addresses.join(", ")) : "every address"],
        ["Takes bodies up to", bytes(access.largest_body)],
      ]),
    ),
    h(
      "section.panel.pad",
      h("h2", "This page"),
      h("fieldset.plain", h("legend", "Colours"), h("div.row", THEMES.map(([code, label]) => h("label.radio", h("input", { type: "radio", name: "theme", value: code, checked: theme() === code, onchange: () => setTheme(code) }), label)))),
    ),
  );
}
