// Otoroshi's TCP services: the table of them, and the form.

import * as auth from "../auth.js";
import { fromYaml, get } from "../api.js";
import { fill, h } from "../dom.js";
import { many } from "../format.js";
import { icon } from "../icons.js";
import { monitor } from "../monitor.js";
import { choose } from "../parts/form.js";
import { badge, empty } from "../parts/notice.js";
import { reviewDelete } from "../parts/review.js";
import { dataTable } from "../parts/table.js";
import { toast } from "../parts/toast.js";
import { go } from "../router.js";
import { edit } from "./tcp_service_form.js";

export const PATH = "api/tcp/services";
const TLS = { Disabled: ["unlock", "no"], PassThrough: ["lock", "passed through"], Enabled: ["lock", "terminated"] };

/** What was imported and is about to be shown in the form. */
let imported = null;

export async function show(context) {
  if (!context.path.length) return list(context);
  if (context.path[0] === "new" && context.path.length === 1) {
    const draft = context.query.has("imported") ? imported : null;
    imported = null;
    return edit(context, null, draft);
  }
  return edit(context, context.path.join("/"));
}

async function list({ element, again }) {
  const table = dataTable({
    caption: "TCP services",
    columns: [
      { key: "name", label: "Name", value: (row) => row.name, filter: true, cell: (row) => h("span", h("a", { href: link(row) }, row.name || row.id), row.description ? h("span.sub", row.description) : null) },
      { key: "port", label: "Port", value: (row) => row.port, filter: true, align: "end", cell: (row) => h("span.num", row.port) },
      { key: "interface", label: "Interface", value: (row) => row.interface, filter: true, cell: (row) => h("code", row.interface) },
      { key: "enabled", label: "Listens", value: (row) => Number(row.enabled), cell: listens },
      { key: "tls", label: "TLS", value: (row) => row.tls, cell: (row) => h("span.with-icon", { class: row.tls === "Disabled" ? "muted" : undefined }, icon(TLS[row.tls][0]), TLS[row.tls][1]) },
      { key: "clientAuth", label: "Client auth.", value: (row) => row.clientAuth, cell: (row) => (row.clientAuth === "None" ? h("span.muted", "–") : row.clientAuth === "Need" ? "needed" : "wanted") },
      { key: "sni", label: "By name", value: (row) => Number(row.sni.enabled), cell: (row) => (row.sni.enabled ? h("span.with-icon", icon("check"), many(row.rules.length, "rule")) : h("span.muted", "–")) },
      { key: "targets", label: "Targets", align: "nowrap", value: (row) => targets(row).length, cell: (row) => h("span", { title: targets(row).join(", ") }, summary(targets(row))) },
    ],
    href: link,
    actions: (row) => [
      h("a.button.small.quiet.square", { href: link(row), "aria-label": `Edit ${row.name}`, title: auth.canWrite() ? "Edit this service" : "Look at this service" }, icon(auth.canWrite() ? "pencil" : "explain")),
      auth.canWrite()
        ? [
            h("a.button.small.quiet.square", { href: `#/tcp-services/new?from=${encodeURIComponent(row.id)}`, "aria-label": `Duplicate ${row.name}`, title: "Duplicate" }, icon("copy")),
            h("button.button.small.quiet.square", { type: "button", "aria-label": `Delete ${row.name}`, title: "Delete this service …", onclick: async () => (await reviewDelete(`TCP service ${row.name}`, `${PATH}/${encodeURIComponent(row.id)}`)) && again() }, icon("trash")),
          ]
        : null,
    ],
    empty: empty(
      "There are no TCP services yet.",
      auth.canWrite() ? "One listens on a port of its own and says by name, or for everybody, which targets its clients are relayed to." : "Somebody with an admin key can create one.",
      ...(auth.canWrite() ? [h("a.button.primary", { href: "#/tcp-services/new" }, icon("plus"), "Create a TCP service"), importButton()] : []),
    ),
  });
  const found = await get(PATH);
  table.rows(found);
  fill(
    element,
    h(
      "header.page-head",
      h("h1", "TCP services"),
      h("div.page-actions", h("button.button.quiet.square", { type: "button", "aria-label": "Reload the table", title: "Reload the table", onclick: again }, icon("refresh")), auth.canWrite() && found.length ? [importButton(), h("a.button.primary", { href: "#/tcp-services/new" }, icon("plus"), "Create a TCP service")] : null),
    ),
    table.element,
  );
}

function link(row) {
  return `#/tcp-services/${encodeURIComponent(row.id)}`;
}

function targets(row) {
  return row.rules.flatMap((rule) => rule.targets.map((target) => `${target.host}:${target.port}`));
}

function summary(all) {
  if (!all.length) return h("span.muted", "none");
  return all.length === 1 ? h("code", all[0]) : [h("code", all[0]), h("span.muted", ` +${all.length - 1}`)];
}

/** Whether it is meant to listen, and whether it does. */
function listens(row) {
  if (!row.enabled) return badge("off");
  const status = monitor.listeners.find((each) => each.documents.some((document) => document.kind === "tcp-services" && document.id === row.id));
  if (status?.state === "failed") return h("span", { title: status.error }, badge("cannot", "bad"));
  return badge("on", "good");
}

function importButton() {
  return h("button.button", { type: "button", onclick: importFile }, icon("upload"), "Import …");
}

async function importFile() {
  try {
    const file = await choose(".json,.yaml,.yml,application/json,application/yaml");
    if (!file) return;
    imported = unwrapped(file.name.endsWith(".json") ? JSON.parse(file.text) : await fromYaml(file.text));
    go("#/tcp-services/new?imported=1");
  } catch (error) {
    toast(error instanceof SyntaxError ? `This file is not JSON: ${error.message}.` : error.message, "bad");
  }
}

/** The service in an export: bare, with its kind, or as a Kubernetes resource. */
export function unwrapped(value) {
  if (Array.isArray(value)) {
    if (value.length !== 1) throw new Error(`This file holds ${value.length} services: import them one at a time, or all at once with the API's _bulk.`);
    return unwrapped(value[0]);
  }
  if (!value || typeof value !== "object") throw new Error("This file holds no TCP service.");
  const body = value.apiVersion && value.spec ? { name: value.metadata?.name, ...value.spec } : value;
  const { kind: _kind, ...service } = body;
  return service;
}
