// The form of one TCP service, with the same document as JSON and YAML.

import * as auth from "../auth.js";
import { fromYaml, get, getTagged, Refused, toYaml } from "../api.js";
import { fill, h, unique } from "../dom.js";
import { icon } from "../icons.js";
import { jsonField, pretty } from "../parts/editor.js";
import { download, field, Fields, list, number, pairs, select, text, toggle } from "../parts/form.js";
import { notice } from "../parts/notice.js";
import { review, reviewDelete } from "../parts/review.js";
import { toast } from "../parts/toast.js";
import { go, guard } from "../router.js";
import { rulesEditor, targetRow } from "./tcp_service_rules.js";
import { unwrapped } from "./tcp_services.js";

const PATH = "api/tcp/services";
const TLS = [
  ["Disabled", "Disabled", "Bytes are relayed as they are, to the targets of all rules in turn."],
  ["PassThrough", "Pass through", "TLS is not opened, but the name in its first message can be read."],
  ["Enabled", "Enabled", "TLS ends here, with one of the certificates that are served."],
];
const CLIENT = [
  ["None", "None", "Clients are not asked for a certificate."],
  ["Want", "Want", "Clients are asked; a bad certificate is refused, none is not."],
  ["Need", "Need", "Only clients with a certificate that verifies get in."],
];

/** Edit the service `id`, or make a new one, of `draft` or a template. */
export async function edit({ element, query, title }, id, draft = null) {
  let known = await start(id, query, draft);
  let service = structuredClone(known.value);
  let saved = id || draft ? JSON.stringify(id ? service : null) : JSON.stringify(service);
  const mayWrite = auth.canWrite();
  const fields = new Fields();
  const told = h("div", { "aria-live": "assertive" });
  const heading = id ? service.name || id : "Create a TCP service";
  const views = { form: h("div.form-view"), json: jsonField("The service, as JSON", "", { rows: 30, readOnly: !mayWrite }), yaml: yamlField(mayWrite) };
  let view = "form";
  title(heading);

  const tabs = tabList([["form", "Form"], ["json", "JSON"], ["yaml", "YAML"]], turnTo);
  const panel = h("div", { role: "tabpanel", id: tabs.panel, "aria-label": "The service" });
  const save = mayWrite ? h("button.button.primary", { type: "submit" }, id ? "Review and update …" : "Review and create …") : null;
  const form = h(
    "form.service",
    { onsubmit: send, onkeydown: keys, novalidate: true },
    panel,
    told,
    h("div.row.form-foot.sticky", save, h("a.button.quiet", { href: "#/tcp-services" }, mayWrite ? "Cancel" : "Back"), h("span.grow"), mayWrite && id ? h("button.button.danger.outline", { type: "button", onclick: remove }, icon("trash"), "Delete …") : null),
  );
  fill(
    element,
    h(
      "header.page-head",
      h("nav.crumbs", { "aria-label": "Where this is" }, h("a", { href: "#/tcp-services" }, "TCP services")),
      h("h1", heading),
      h("div.page-actions", tabs.element, id ? [h("button.button.small", { type: "button", onclick: () => exported("json") }, icon("download"), "JSON"), h("button.button.small", { type: "button", onclick: () => exported("yaml") }, icon("download"), "YAML")] : null),
    ),
    form,
  );
  draw();
  fill(panel, views.form);
  guard(() => mayWrite && JSON.stringify(pending()) !== saved);

  function draw() {
    fill(views.form, formOf(service, fields, Boolean(id)));
    if (!mayWrite) for (const control of views.form.querySelectorAll("input, select, textarea, button")) control.disabled = true;
  }

  /** What would be saved, whichever view it was typed in; text where that cannot be read. */
  function pending() {
    if (view === "form") return service;
    if (view === "yaml") return views.yaml.changed() ? views.yaml.input.value : service;
    try {
      return views.json.value();
    } catch {
      return views.json.input.value;
    }
  }

  /** Take over what was typed as text. Answers whether it could be read. */
  async function taken() {
    try {
      if (view === "json") service = complete(unwrapped(views.json.value()));
      if (view === "yaml" && views.yaml.changed()) service = complete(unwrapped(await fromYaml(views.yaml.input.value)));
      return true;
    } catch (error) {
      const editor = views[view];
      editor.tell(view === "json" && editor.check() === false ? editor.element.querySelector(".editor-state").textContent : error.message);
      editor.input.focus();
      return false;
    }
  }

  async function turnTo(next) {
    if (next === view) return true;
    if (!(await taken())) return false;
    try {
      if (next === "yaml") views.yaml.set(await toYaml(service));
    } catch (error) {
      toast(error.message, "bad");
      return false;
    }
    if (next === "json") views.json.set(service);
    if (next === "form") draw();
    view = next;
    fill(panel, view === "form" ? views.form : views[view].element);
    return true;
  }

  function keys(event) {
    if ((event.ctrlKey || event.metaKey) && event.key === "s") {
      event.preventDefault();
      if (mayWrite) send(event);
    }
  }

  async function send(event) {
    event.preventDefault();
    fields.clear();
    fill(told);
    if (!(await taken())) return;
    const missing = lacking(service);
    if (missing.length) {
      problems(missing);
      return;
    }
    const [method, path] = id ? ["PUT", `${PATH}/${encodeURIComponent(id)}`] : ["POST", PATH];
    const words = id ? ["Update", "Updated."] : ["Create", "Created."];
    save.disabled = true;
    try {
      const answer = await review({ title: id ? `Update ${service.name}` : `Create ${service.name}`, method, path, body: service, tag: known.tag, verbs: [["leave", words[0]], ["stay", `${words[0]} and stay`]], done: `${service.name}: ${words[1].toLowerCase()}` });
      if (!answer) return;
      saved = JSON.stringify(service);
      if (answer.choice === "leave") go("#/tcp-services");
      else if (!id) go(`#/tcp-services/${encodeURIComponent(answer.value.id)}`);
      else await reread();
    } catch (error) {
      if (error instanceof Refused && error.problems.length) problems(error.problems, error);
      else fill(told, notice("bad", "It was not saved.", h("p", error.message)));
    } finally {
      save.disabled = false;
    }
  }

  async function reread() {
    known = await start(id, query, null);
    service = structuredClone(known.value);
    saved = JSON.stringify(service);
    if (view === "form") draw();
    else if (view === "json") views.json.set(service);
    else views.yaml.set(await toYaml(service));
  }

  function problems(found) {
    const homeless = view === "form" ? fields.tellAll(found) : found;
    if (homeless.length) fill(told, notice("bad", "It was not saved.", h("ul.problems", homeless.map((each) => h("li", each.path ? [h("code", each.path), " "] : null, each.message)))));
    else fill(told, notice("bad", "It was not saved: see what is marked above."));
  }

  async function remove() {
    if (await reviewDelete(`TCP service ${known.value.name}`, `${PATH}/${encodeURIComponent(id)}`, { tag: known.tag })) go("#/tcp-services");
  }

  async function exported(kind) {
    const stamp = new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-");
    const name = `tcp-service-${(known.value.name || id).toLowerCase().replace(/[^a-z0-9]+/g, "-")}-${stamp}`;
    try {
      if (kind === "json") download(`${name}.json`, pretty({ ...known.value, kind: "TcpService" }), "application/json");
      else download(`${name}.yaml`, await toYaml({ apiVersion: "proxy.otoroshi.io/v1", kind: "TcpService", metadata: { name: known.value.name }, spec: known.value }), "application/yaml");
    } catch (error) {
      toast(error.message, "bad");
    }
  }
}

async function start(id, query, draft) {
  if (id) return getTagged(`${PATH}/${encodeURIComponent(id)}`);
  const template = await get("api/tcp/_template");
  const blank = { ...template, name: "", description: "", port: "", rules: [{ domain: "*", targets: [{ host: "", ip: null, port: "", tls: false }] }] };
  if (draft) return { value: complete({ ...blank, ...draft }), tag: null };
  if (!query.has("from")) return { value: blank, tag: null };
  const source = await get(`${PATH}/${encodeURIComponent(query.get("from"))}`);
  return { value: { ...source, id: template.id, name: `${source.name} (copy)`, enabled: false }, tag: null };
}

/** What the form needs to be there. */
function complete(service) {
  const target = { host: "127.0.0.1", ip: null, port: 8080, tls: false };
  const sni = { enabled: false, forwardIfNoMatch: false, ...service.sni };
  return {
    enabled: false,
    tls: "Disabled",
    clientAuth: "None",
    interface: "0.0.0.0",
    description: "",
    ...service,
    sni: { ...sni, forwardsTo: { ...target, ...sni.forwardsTo } },
    rules: (Array.isArray(service.rules) ? service.rules : []).map((rule) => ({ domain: "*", ...rule, targets: Array.isArray(rule?.targets) ? rule.targets : [] })),
    metadata: service.metadata ?? {},
    tags: service.tags ?? [],
  };
}

/** What nobody need ask the API about. */
function lacking(service) {
  const found = [];
  if (!String(service.name ?? "").trim()) found.push({ path: "name", message: "give it a name, by which people find it" });
  if (!Number.isInteger(service.port)) found.push({ path: "port", message: "give a port from 1 to 65535" });
  service.rules.forEach((rule, index) =>
    rule.targets.forEach((target, place) => {
      const path = `rules[${index}].targets[${place}]`;
      if (!String(target.host ?? "").trim()) found.push({ path: `${path}.host`, message: "give a host name or an address" });
      if (!Number.isInteger(target.port)) found.push({ path: `${path}.port`, message: "give a port from 1 to 65535" });
    }),
  );
  if (service.sni.forwardIfNoMatch && !Number.isInteger(service.sni.forwardsTo.port)) found.push({ path: "sni.forwardsTo.port", message: "give a port from 1 to 65535" });
  return found;
}

function formOf(service, fields, exists) {
  fields.forget("");
  const rules = h("div");
  const names = h("div");
  const client = h("div");
  const note = h("div");
  const rulesForm = rulesEditor(service, fields);
  const set = (name) => (value) => (service[name] = value);

  const dependent = () => {
    client.hidden = service.tls !== "Enabled";
    names.hidden = service.tls === "Disabled";
    fill(
      note,
      service.tls === "Disabled" ? notice("info", "Without TLS no names are looked at: the targets of all rules take turns.") : service.sni.enabled ? null : notice("info", "Routing by name is off: the targets of all rules take turns."),
    );
    fallback.hidden = !service.sni.forwardIfNoMatch;
    byHost.hidden = service.tls !== "Enabled";
  };
  const fallback = h("div.nested", targetRow(service.sni.forwardsTo, "sni.forwardsTo", "Fallback", fields));
  const byHost = toggle("Route by HTTP host where there is no SNI", service.sni.httpHost, {
    path: "sni.httpHost",
    fields,
    hint: "A client that names nothing in its handshake is routed by its first HTTP request.",
    onchange: (value) => {
      if (value) service.sni.httpHost = true;
      else delete service.sni.httpHost;
    },
  });
  const location = service._loc ?? { tenant: "default", teams: ["default"] };

  fill(
    names,
    toggle("Route by name (SNI)", service.sni.enabled, { path: "sni.enabled", fields, hint: "The name in the TLS handshake chooses the rule; with Pass through, that of a plain HTTP request does too.", onchange: (value) => ((service.sni.enabled = value), dependent()) }),
    byHost,
    toggle("Forward to a fallback if no rule matches", service.sni.forwardIfNoMatch, { path: "sni.forwardIfNoMatch", fields, hint: "Also clients that name nothing. Off: they are dropped.", onchange: (value) => ((service.sni.forwardIfNoMatch = value), dependent()) }),
    fallback,
  );
  fill(client, radios("Client certificates", "clientAuth", service.clientAuth, CLIENT, fields, (value) => (service.clientAuth = value)));
  fill(rules, note, rulesForm);
  dependent();

  return [
    section(
      "Service",
      null,
      h("div.columns", field("Name", text(service.name, { oninput: set("name"), placeholder: "My Awesome Service", autofocus: !exists }), { path: "name", fields }), field("Description", text(service.description, { oninput: set("description"), placeholder: "What it is for" }), { path: "description", fields })),
      h("div.columns.three", field("Interface", text(service.interface, { oninput: set("interface"), placeholder: "0.0.0.0" }), { path: "interface", fields, hint: "An address of this machine; 0.0.0.0 and :: are all of them." }), field("Port", number(service.port, { oninput: set("port"), placeholder: "5432" }), { path: "port", fields }), h("div.field", toggle("Enabled", service.enabled, { path: "enabled", fields, hint: "Off: nothing listens.", onchange: set("enabled") }))),
    ),
    section("TLS", null, radios("What is done with TLS", "tls", service.tls, TLS, fields, (value) => ((service.tls = value), dependent())), client),
    section("Rules", "Where clients go. The first rule whose pattern matches the name wins; its targets take turns.", names, rules),
    h(
      "details.section",
      h("summary", "More"),
      h("div.columns", list("Tags", service.tags, { path: "tags", fields, onchange: set("tags") }), field("Server speaks first", select(service.starttls ?? "", [["", "no"], "smtp", "imap", "pop3", "mysql"], { onchange: (value) => (value ? (service.starttls = value) : delete service.starttls) }), { path: "starttls", fields, hint: "Protocols that begin in plain text and switch to TLS (STARTTLS)." })),
      pairs("Metadata", service.metadata, { path: "metadata", fields, onchange: set("metadata") }),
      h("div.columns", field("Organization", text(location.tenant, { oninput: (value) => (service._loc = { ...location, ...service._loc, tenant: value }) }), { path: "_loc.tenant", fields }), list("Teams", location.teams, { path: "_loc.teams", fields, onchange: (value) => (service._loc = { ...location, ...service._loc, teams: value }) })),
      field("Id", text(service.id, { readonly: true, placeholder: "---" }), { path: "id", fields, hint: "It is made when the service is. Limits, access lists and TLS to targets in detail are written in the JSON view." }),
    ),
  ];
}

function section(title, lead, ...content) {
  const name = unique("section");
  return h("section.section", { "aria-labelledby": name }, h("header", h("h2", { id: name }, title), lead ? h("p.muted", lead) : null), ...content);
}

function radios(legend, name, value, options, fields, onchange) {
  const group = unique(name);
  const error = h("p.field-error", { hidden: true });
  const inputs = options.map(([code]) => h("input", { type: "radio", name: group, value: code, checked: code === value, onchange: () => onchange(code) }));
  fields.add(name, inputs[0], error);
  return h("fieldset.choices", h("legend", legend), h("div.choice-row", options.map(([, label, meaning], index) => h("label.choice", inputs[index], h("span.choice-name", label), h("span.choice-hint", meaning)))), error);
}

/** Tabs as the ARIA practices have them: arrows move, the panel follows where `turn` agrees. */
function tabList(names, turn) {
  const panel = unique("panel");
  const buttons = names.map(([code, label], index) =>
    h("button.tab", { type: "button", role: "tab", "aria-selected": String(index === 0), "aria-controls": panel, tabindex: index ? "-1" : "0", dataset: { code }, onclick: () => choose(index), onkeydown: (event) => arrow(event, index) }, label),
  );
  async function choose(index) {
    if (!(await turn(names[index][0]))) return;
    buttons.forEach((button, place) => {
      button.setAttribute("aria-selected", String(place === index));
      button.tabIndex = place === index ? 0 : -1;
    });
    buttons[index].focus();
  }
  function arrow(event, index) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose((index + step + names.length) % names.length);
  }
  return { panel, element: h("div.tabs", { role: "tablist", "aria-label": "Views" }, buttons) };
}

/** A field for YAML, which the server reads. */
function yamlField(mayWrite) {
  const id = unique("yaml");
  const state = h("p.editor-state", { id: `${id}-state`, role: "status" });
  const input = h("textarea.input.editor", { id, rows: 30, spellcheck: "false", autocapitalize: "off", readonly: !mayWrite, "aria-describedby": `${id}-state`, oninput: () => (input.removeAttribute("aria-invalid"), (state.textContent = "")) });
  let shown = "";
  return {
    element: h("div.field", h("label", { for: id }, "The service, as YAML"), input, state),
    input,
    changed: () => input.value !== shown,
    set(value) {
      input.value = value;
      shown = value;
    },
    tell(told) {
      input.setAttribute("aria-invalid", "true");
      state.textContent = told;
    },
  };
}
