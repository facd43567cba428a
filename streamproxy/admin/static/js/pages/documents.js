// Documents that are edited as JSON: a table of them, and an editor with their schema beside it.

import * as auth from "../auth.js";
import { Refused } from "../api.js";
import { fill, h } from "../dom.js";
import { icon } from "../icons.js";
import { jsonField, schemaHelp } from "../parts/editor.js";
import { empty, notice } from "../parts/notice.js";
import { review, reviewDelete } from "../parts/review.js";
import { dataTable } from "../parts/table.js";
import { go, guard } from "../router.js";
import { KINDS } from "./kinds.js";

export async function show(context) {
  const kind = KINDS[context.name];
  return context.path.length ? edit(context, kind) : list(context, kind);
}

async function list({ element, name, again }, kind) {
  const create = () => (auth.canWrite() ? h("a.button.primary", { href: `#/${name}/new` }, icon("plus"), `Create ${article(kind.one)}`) : null);
  const table = dataTable({
    caption: kind.title,
    columns: kind.columns.map((column) => ({ ...column, cell: column.code ? (row) => h("a", { href: `#/${name}/${encodeURIComponent(row.id)}` }, h("code", row.id)) : column.cell })),
    href: (row) => `#/${name}/${encodeURIComponent(row.id)}`,
    actions: auth.canWrite()
      ? (row) =>
          h(
            "button.button.small.quiet.square",
            {
              type: "button",
              "aria-label": `Delete ${kind.one} ${row.id}`,
              title: "Delete …",
              onclick: async () => (await reviewDelete(`${kind.one} ${row.id}`, kind.path(row.id))) && again(),
            },
            icon("trash"),
          )
      : null,
    empty: empty(kind.none ?? `There are no ${kind.title === "SSL objects" ? kind.title : kind.title.toLowerCase()} yet.`, kind.next ?? "", create()),
  });
  table.rows(await kind.list());
  fill(element, h("header.page-head", h("h1", kind.title), kind.lead ? h("p.lead", kind.lead) : null, h("div.page-actions", create())), table.element);
}

async function edit({ element, name, path, title }, kind) {
  const isNew = path[0] === "new" && path.length === 1;
  const id = path.join("/");
  const known = isNew ? { value: kind.template, tag: null } : await kind.read(id);
  const heading = isNew ? `Create ${article(kind.one)}` : `${kind.one.charAt(0).toUpperCase()}${kind.one.slice(1)} ${id}`;
  title(heading);
  const mayWrite = auth.canWrite() && !known.origin;
  const told = h("div", { "aria-live": "assertive" });
  let saved = JSON.stringify(known.value);
  const editor = jsonField("The document, as JSON", known.value, { rows: 22, readOnly: !mayWrite });
  const save = mayWrite ? h("button.button.primary", { type: "submit" }, isNew ? "Review and create …" : "Review and save …") : null;
  fill(
    element,
    h("header.page-head", h("nav.crumbs", { "aria-label": "Where this is" }, h("a", { href: `#/${name}` }, kind.title)), h("h1", heading)),
    known.origin ? notice("info", `It is written in ${known.origin}, and changed there.`) : null,
    kind.keyless && !isNew ? notice("info", kind.keyless) : null,
    h(
      "form.split.wide-first",
      { onsubmit: send, onkeydown: (event) => (event.ctrlKey || event.metaKey) && event.key === "s" && (event.preventDefault(), mayWrite && send(event)), novalidate: true },
      h(
        "div",
        editor.element,
        told,
        h(
          "div.row.form-foot",
          save,
          h("button.button", { type: "button", onclick: () => editor.check() && editor.set(editor.value()) }, "Tidy up"),
          h("a.button.quiet", { href: `#/${name}` }, "Cancel"),
          h("span.grow"),
          mayWrite && !isNew ? h("button.button.danger.outline", { type: "button", onclick: remove }, icon("trash"), "Delete …") : null,
        ),
      ),
      h("div", await help(kind)),
    ),
  );
  guard(() => {
    try {
      return mayWrite && JSON.stringify(editor.value()) !== saved;
    } catch {
      return true;
    }
  });

  async function send(event) {
    event.preventDefault();
    fill(told);
    if (!editor.check()) {
      editor.input.focus();
      return;
    }
    const body = editor.value();
    const [method, target] = isNew ? kind.create(body) : ["PUT", kind.path(id)];
    try {
      const answer = await review({ title: heading, method, path: target, body, tag: known.tag, verbs: [["save", isNew ? "Create" : "Save"]], done: isNew ? "Created." : "Saved." });
      if (!answer) return;
      saved = JSON.stringify(body);
      go(`#/${name}`);
    } catch (error) {
      editor.input.setAttribute("aria-invalid", "true");
      const { problems = [] } = error instanceof Refused ? error : {};
      fill(told, notice("bad", "It was not saved.", problems.length ? h("ul.problems", problems.map((each) => h("li", each.path ? [h("code", each.path), " "] : null, each.message))) : h("p", error.message)));
      editor.input.focus();
    }
  }

  async function remove() {
    if (await reviewDelete(`${kind.one} ${id}`, kind.path(id), { tag: known.tag })) go(`#/${name}`);
  }
}

/** The schema, as far as the server tells it; without one the editor still works. */
async function help(kind) {
  try {
    return schemaHelp(await kind.schema());
  } catch (error) {
    return h("aside.schema", { "aria-label": "What may be in it" }, h("p.muted", `The schema could not be read: ${error.message}`));
  }
}

function article(word) {
  return /^[aeiou]|^SSL/i.test(word) ? `an ${word}` : `a ${word}`;
}
