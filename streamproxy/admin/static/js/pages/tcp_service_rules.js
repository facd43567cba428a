// The rules of a TCP service as cards: a pattern and the targets that take turns.

import { fill, h } from "../dom.js";
import { icon } from "../icons.js";
import { field, number, text, toggle } from "../parts/form.js";

/** Cards for `service.rules`, which they change in place: order, which decides who wins, is the user's alone. */
export function rulesEditor(service, fields) {
  const cards = h("ol.rule-cards");
  const more = h("button.button", { type: "button", onclick: add }, icon("plus"), "Add a rule");

  function draw(focus) {
    fields.forget("rules");
    fill(cards, service.rules.map(card));
    fields.add("rules", more, error);
    if (focus) cards.querySelector(focus)?.focus();
  }

  function add() {
    service.rules.push({ domain: service.rules.length ? "" : "*", targets: [blank()] });
    draw(`li:nth-child(${service.rules.length}) input`);
  }

  function move(index, by) {
    const [rule] = service.rules.splice(index, 1);
    service.rules.splice(index + by, 0, rule);
    draw(`li:nth-child(${index + by + 1}) .${by < 0 ? "up" : "down"}:not(:disabled), li:nth-child(${index + by + 1}) .${by < 0 ? "down" : "up"}`);
  }

  function remove(index) {
    service.rules.splice(index, 1);
    draw();
    more.focus();
  }

  function card(rule, index) {
    const path = `rules[${index}]`;
    const targets = h("ul.targets");
    const addTarget = h("button.button.small", { type: "button", onclick: () => (rule.targets.push(blank()), drawTargets(`li:nth-child(${rule.targets.length}) input`)) }, icon("plus"), "Add a target");
    const targetsError = h("p.field-error", { hidden: true });

    function drawTargets(focus) {
      fields.forget(`${path}.targets`);
      fill(
        targets,
        rule.targets.map((target, place) =>
          h(
            "li.target-row",
            targetRow(target, `${path}.targets[${place}]`, `Target ${place + 1} of rule ${index + 1}`, fields),
            h("button.button.quiet.square.danger-text", { type: "button", "aria-label": `Remove target ${place + 1} of rule ${index + 1}`, title: "Remove this target", onclick: () => (rule.targets.splice(place, 1), drawTargets(), addTarget.focus()) }, icon("trash")),
          ),
        ),
        rule.targets.length ? null : h("li.muted.pad", "No target: clients of this rule are dropped."),
      );
      fields.add(`${path}.targets`, addTarget, targetsError);
    }
    drawTargets();
    return h(
      "li.rule-card",
      { "aria-label": `Rule ${index + 1}` },
      h(
        "div.rule-top",
        h("span.rule-number", { "aria-hidden": "true" }, index + 1),
        field("Matching domain name", text(rule.domain, { placeholder: "*.example.com", oninput: (value) => (rule.domain = value) }), { path: `${path}.domain`, fields, class: "grow" }),
        h(
          "div.row.tight.rule-tools",
          h("button.button.quiet.square.up", { type: "button", "aria-label": `Move rule ${index + 1} up`, title: "Try it earlier", disabled: index === 0, onclick: () => move(index, -1) }, icon("up")),
          h("button.button.quiet.square.down", { type: "button", "aria-label": `Move rule ${index + 1} down`, title: "Try it later", disabled: index === service.rules.length - 1, onclick: () => move(index, 1) }, icon("down")),
          h("button.button.quiet.square.danger-text", { type: "button", "aria-label": `Remove rule ${index + 1}`, title: "Remove this rule", onclick: () => remove(index) }, icon("trash")),
        ),
      ),
      targets,
      h("div.row", addTarget, targetsError),
    );
  }

  const error = h("p.field-error", { hidden: true });
  draw();
  return h("div", cards, h("div.row", more), error, h("p.field-hint", "A pattern is a name, has * for any run of characters, or is a regular expression such as (a|b)\\.example\\.com."));
}

function blank() {
  return { host: "", ip: null, port: "", tls: false };
}

/** Host, address, port and TLS of one target, which is changed in place. */
export function targetRow(target, path, name, fields) {
  const label = (what) => ({ "aria-label": `${name}: ${what}` });
  return h(
    "div.target",
    field("Host", text(target.host, { ...label("host"), placeholder: "db.internal", oninput: (value) => (target.host = value.trim()) }), { path: `${path}.host`, fields, class: "host" }),
    // An empty text would be an address to Otoroshi.
    field("IP address", text(target.ip, { ...label("IP address"), placeholder: "by name", oninput: (value) => (target.ip = value.trim() || null) }), { path: `${path}.ip`, fields, class: "ip" }),
    field("Port", number(target.port, { ...label("port"), placeholder: "5432", oninput: (value) => (target.port = value) }), { path: `${path}.port`, fields, class: "port" }),
    toggle("TLS", target.tls, { path: `${path}.tls`, fields, onchange: (value) => (target.tls = value) }),
  );
}
