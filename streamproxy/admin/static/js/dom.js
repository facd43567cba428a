// Elements from values. Text is always text: nothing here can become markup.

const SVG = "http://www.w3.org/2000/svg";

/** h("a.button.primary", {href, onclick, "aria-label"}, ...children): an element. */
export function h(selector, attributes, ...children) {
  return filled(made(document, selector), attributes, children);
}

/** The same for SVG. */
export function s(selector, attributes, ...children) {
  const [name, ...classes] = selector.split(".");
  const element = document.createElementNS(SVG, name);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes ?? {})) element.setAttribute(key, value);
  element.append(...children.filter(Boolean));
  return element;
}

function made(root, selector) {
  const [name, ...classes] = selector.split(".");
  const element = root.createElement(name || "div");
  if (classes.length) element.className = classes.join(" ");
  return element;
}

function filled(element, attributes, children) {
  if (attributes !== null && (typeof attributes !== "object" || attributes instanceof Node || Array.isArray(attributes))) {
    if (attributes !== undefined) children.unshift(attributes);
    attributes = null;
  }
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.classList.add(...String(value).split(" ").filter(Boolean));
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "value" || name === "checked" || name === "selected" || name === "indeterminate") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  put(element, ...children);
  return element;
}

/** Append children: elements, text, numbers, lists of these; nothing for null, undefined and false. */
export function put(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Put these in the place of all there was. */
export function fill(element, ...children) {
  element.replaceChildren();
  return put(element, ...children);
}

/** Set the text only where it is another one, so that nobody's selection is lost for nothing. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Make the children of `parent` those of `items`, in that order, keeping the elements that stay: who has the focus
 * keeps it. `make(item)` makes one, `update(element, item)` brings one up to date.
 */
export function keyed(parent, items, key, make, update) {
  const known = new Map();
  for (const child of parent.children) known.set(child.dataset.key, child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let element = known.get(name);
    known.delete(name);
    if (element) {
      update?.(element, item);
    } else {
      element = make(item);
      element.dataset.key = name;
    }
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const gone of known.values()) gone.remove();
}

let count = 0;

/** An id that no other element has. */
export function unique(prefix = "id") {
  count += 1;
  return `${prefix}-${count}`;
}

/** Call at most once per `wait` milliseconds, the last time included. */
export function debounce(call, wait = 200) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), wait);
  };
}
