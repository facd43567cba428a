// A document as JSON: text that is checked while it is typed, with its schema beside it.

import { debounce, fill, h, say, unique } from "../dom.js";
import { shown } from "../format.js";

/** A field for JSON. Answers {element, input, value(), set(value), problem}; `value()` raises SyntaxError. */
export function jsonField(label, value, { rows = 18, onchange, readOnly = false } = {}) {
  const id = unique("json");
  const state = h("p.editor-state", { id: `${id}-state`, role: "status" });
  const input = h("textarea.input.editor", { id, rows, spellcheck: "false", autocapitalize: "off", autocomplete: "off", readonly: readOnly, "aria-describedby": `${id}-state` });
  input.value = typeof value === "string" ? value : pretty(value);
  const check = () => {
    try {
      JSON.parse(input.value);
      input.removeAttribute("aria-invalid");
      say(state, "");
      return true;
    } catch (error) {
      input.setAttribute("aria-invalid", "true");
      say(state, `This is not JSON yet: ${place(error, input.value)}.`);
      return false;
    }
  };
  const later = debounce(check, 400);
  input.addEventListener("input", () => {
    later();
    onchange?.(input.value);
  });
  return {
    element: h("div.field", h("label", { for: id }, label), input, state),
    input,
    check,
    value: () => JSON.parse(input.value),
    set(next) {
      input.value = typeof next === "string" ? next : pretty(next);
      check();
    },
    tell(text) {
      input.setAttribute("aria-invalid", "true");
      say(state, text);
    },
  };
}

export function pretty(value) {
  return JSON.stringify(value, null, 2);
}

/** Where JSON stops being JSON, in words. */
function place(error, text) {
  const match = /position (\d+)/.exec(error.message);
  if (!match) return error.message.replace(/^JSON\.parse: /, "").replace(/ in JSON.*/, "");
  const before = text.slice(0, Number(match[1])).split("\n");
  const said = error.message.replace(/ in JSON at position.*/, "").replace(/^Unexpected token.*/, "there is something that does not belong there");
  return `${said}, at line ${before.length}, column ${before.at(-1).length + 1}`;
}

/** What a schema allows, to read beside the editor: each property with its type, default and meaning. */
export function schemaHelp(schema, title = "What may be in it") {
  const element = h("aside.schema", { "aria-label": title });
  fill(element, h("h3", title), properties(schema, 0) ?? h("p.muted", "There is no schema for this."));
  return element;
}

function properties(schema, depth) {
  // The server dates documents itself.
  const known = Object.entries(schema?.properties ?? {}).filter(([name]) => name !== "create_time" && name !== "update_time");
  if (!known.length || depth > 4) return null;
  const required = new Set(schema.required ?? []);
  return h(
    "dl.schema-list",
    known.map(([name, property]) => {
      const inner = properties(property, depth + 1) ?? properties(property.items, depth + 1);
      const meaning = [property.description, property.enum ? `One of ${property.enum.map((each) => JSON.stringify(each)).join(", ")}.` : null, limits(property)].filter(Boolean).join(" ");
      return h(
        "div.schema-item",
        h("dt", h("code", name), h("span.muted", ` ${typeOf(property)}`), required.has(name) ? h("span.required", " required") : null, property.default !== undefined ? h("span.muted", ` = ${shown(property.default)}`) : null),
        meaning || inner ? h("dd", meaning ? h("p", meaning) : null, inner ? h("details", h("summary", "Its fields"), inner) : null) : null,
      );
    }),
  );
}

function typeOf(property) {
  if (property.type === "array") return `array of ${property.items?.type ?? "values"}`;
  if (Array.isArray(property.type)) return property.type.join(" or ");
  const either = property.anyOf ?? property.oneOf;
  return property.type ?? ([...new Set(either?.map((each) => each.type).filter(Boolean))].join(" or ") || "value");
}

function limits(property) {
  const { minimum: low, maximum: high, minLength, maxLength, pattern } = property;
  const found = [];
  if (low !== undefined && high !== undefined) found.push(`From ${low} to ${high}.`);
  else if (low !== undefined) found.push(`At least ${low}.`);
  else if (high !== undefined) found.push(`At most ${high}.`);
  if (minLength > 1 && maxLength) found.push(`${minLength} to ${maxLength} characters.`);
  else if (maxLength) found.push(`At most ${maxLength} characters.`);
  if (pattern && pattern.length < 60) found.push(`Matches ${pattern}`);
  return found.join(" ");
}
