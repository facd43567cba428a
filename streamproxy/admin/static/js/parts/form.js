// Fields with a label, a hint and a place for what is wrong with them, found by the path that the API says.

import { fill, h, unique } from "../dom.js";
import { icon } from "../icons.js";

/** The fields of a form by the path of what they hold (`rules[0].targets[1].port`). */
export class Fields {
  #known = new Map();

  /** `input` and the element that says what is wrong with it. */
  add(path, input, error) {
    this.#known.set(path, { input, error });
  }

  clear() {
    for (const { input, error } of this.#known.values()) {
      input.removeAttribute("aria-invalid");
      fill(error);
      error.hidden = true;
    }
  }

  forget(prefix) {
    for (const path of [...this.#known.keys()]) if (path.startsWith(prefix)) this.#known.delete(path);
  }

  /** Say it beside the field it is about, or the nearest one around it. Answers whether there is one. */
  tell(path, message) {
    const found = this.#find(path);
    if (!found) return false;
    found.input.setAttribute("aria-invalid", "true");
    found.error.hidden = false;
    found.error.append(h("span", found.error.childNodes.length ? " " : null, sentence(message)));
    return true;
  }

  /** Tell all; those that belong nowhere are answered. The first field that is wrong gets the focus. */
  tellAll(problems) {
    this.clear();
    const homeless = problems.filter((problem) => !this.tell(problem.path, problem.message));
    const wrong = [...this.#known.values()].map(({ input }) => input).filter((input) => input.isConnected && input.getAttribute("aria-invalid"));
    const [first] = wrong.sort((one, other) => (one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
    first?.focus();
    first?.scrollIntoView({ block: "center" });
    return homeless;
  }

  #find(path) {
    for (let at = path ?? ""; at; at = outer(at)) {
      const found = this.#known.get(at);
      if (found?.input.isConnected && isReachable(found.input)) return found;
    }
    return null;
  }
}

/** Can it be seen, once what is folded up around it is opened? What a switch hides it cannot. */
function isReachable(input) {
  if (input.closest("[hidden]")) return false;
  for (let fold = input.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  return true;
}

function outer(path) {
  return path.replace(/(\.[^.[\]]+|\[[^\]]*\]|^[^.[\]]+)$/, "");
}

function sentence(text) {
  const said = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(said) ? said : `${said}.`;
}

/** A labelled field around `input`. */
export function field(label, input, { hint, path, fields, class: kind, hideLabel } = {}) {
  const name = input.id || (input.id = unique("field"));
  const error = h("p.field-error", { id: `${name}-error`, hidden: true });
  const told = hint ? h("p.field-hint", { id: `${name}-hint` }, hint) : null;
  input.setAttribute("aria-describedby", [told?.id, error.id].filter(Boolean).join(" "));
  if (path && fields) fields.add(path, input, error);
  return h("div.field", { class: kind }, h("label", { for: name, class: hideLabel ? "sr-only" : undefined }, label), input, error, told);
}

export function text(value, { oninput, type = "text", ...attributes } = {}) {
  return h("input.input", { type, value: value ?? "", autocomplete: "off", spellcheck: "false", oninput: oninput && ((event) => oninput(event.target.value)), ...attributes });
}

/** A whole number; `oninput` gets a number, or the text where it is none. */
export function number(value, { oninput, ...attributes } = {}) {
  return text(value, {
    inputmode: "numeric",
    class: "number",
    ...attributes,
    oninput: (typed) => oninput(/^\s*\d{1,9}\s*$/.test(typed) ? Number(typed) : typed),
  });
}

/** `options`: values, or [value, label]. */
export function select(value, options, { onchange, ...attributes } = {}) {
  return h(
    "select.input",
    { onchange: onchange && ((event) => onchange(event.target.value)), ...attributes },
    options.map((option) => {
      const [code, label] = Array.isArray(option) ? option : [option, option];
      return h("option", { value: code, selected: String(code) === String(value ?? "") }, label);
    }),
  );
}

/** A switch: a checkbox that looks like one. The label is part of it. */
export function toggle(label, value, { onchange, hint, path, fields, disabled } = {}) {
  const name = unique("switch");
  const input = h("input", { type: "checkbox", role: "switch", id: name, checked: Boolean(value), disabled, onchange: (event) => onchange?.(event.target.checked) });
  const error = h("p.field-error", { id: `${name}-error`, hidden: true });
  if (path && fields) fields.add(path, input, error);
  if (hint) input.setAttribute("aria-describedby", `${name}-hint`);
  return h("div.switch", h("label", { for: name }, input, h("span.switch-track", { "aria-hidden": "true" }), h("span", label)), error, hint ? h("p.field-hint", { id: `${name}-hint` }, hint) : null);
}

/** Names and values. `onchange` gets the object. */
export function pairs(label, value, { onchange, hint, path, fields } = {}) {
  const rows = Object.entries(value ?? {});
  const list = h("div.pairs");
  const tell = () => onchange(Object.fromEntries(rows.filter(([name]) => name !== "")));
  const draw = () =>
    fill(
      list,
      rows.map((row, index) =>
        h(
          "div.pair",
          text(row[0], { "aria-label": `${label}: name ${index + 1}`, placeholder: "name", oninput: (typed) => ((row[0] = typed), tell()) }),
          text(row[1], { "aria-label": `${label}: value ${index + 1}`, placeholder: "value", oninput: (typed) => ((row[1] = typed), tell()) }),
          h("button.button.quiet.square", { type: "button", "aria-label": `Remove ${row[0] || "this pair"}`, onclick: () => (rows.splice(index, 1), tell(), draw(), list.nextElementSibling.focus()) }, icon("close")),
        ),
      ),
    );
  draw();
  const more = h("button.button.small", { type: "button", onclick: () => (rows.push(["", ""]), draw(), list.lastElementChild.firstElementChild.focus()) }, icon("plus"), `Add ${label.toLowerCase()}`);
  const group = h("fieldset.field.plain", h("legend", label), list, more, hint ? h("p.field-hint", hint) : null);
  const error = h("p.field-error", { hidden: true });
  group.append(error);
  if (path && fields) fields.add(path, more, error);
  return group;
}

/** Texts separated by commas. */
export function list(label, value, { onchange, ...rest } = {}) {
  const input = text((value ?? []).join(", "), { oninput: (typed) => onchange(typed.split(",").map((each) => each.trim()).filter(Boolean)) });
  return field(label, input, { hint: "Separated by commas.", ...rest });
}

/** Offer `text` as a file. */
export function download(name, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Let the user choose a file and answer its {name, text}; undefined where none was chosen. */
export function choose(accept) {
  return new Promise((resolve, reject) => {
    const input = h("input.sr-only", { type: "file", accept, "aria-label": "File to import", tabindex: "-1" });
    input.addEventListener("change", async () => {
      const file = input.files[0];
      input.remove();
      if (!file) resolve(undefined);
      else if (file.size > 1_500_000) reject(new Error(`${file.name} is larger than 1.5 MB, which is more than the API takes.`));
      else resolve({ name: file.name, text: await file.text() });
    });
    input.addEventListener("cancel", () => (input.remove(), resolve(undefined)));
    document.body.append(input);
    input.click();
  });
}
