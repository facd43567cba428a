// Who looks at this. Credentials live as long as the tab does, in sessionStorage and nowhere else.

const STORE = "streamproxy.credentials";

/** `null` until somebody logged in; then {name, role}. */
export let identity = null;

export function canWrite() {
  return identity?.role === "admin";
}

export function isKnown() {
  return identity !== null;
}

export function become(who) {
  identity = who;
  document.documentElement.dataset.role = who?.role ?? "none";
}

export function credentials() {
  try {
    return JSON.parse(sessionStorage.getItem(STORE)) ?? {};
  } catch {
    return {};
  }
}

export function areKept() {
  return sessionStorage.getItem(STORE) !== null;
}

export function keep(given) {
  sessionStorage.setItem(STORE, JSON.stringify(given));
}

export function forget() {
  sessionStorage.removeItem(STORE);
  become(null);
}

/** The headers that prove who it is. Header values are bytes: text goes as UTF-8. */
export function headers(given = credentials()) {
  if (given.key) return { "X-API-KEY": latin(given.key) };
  if (given.id) return { "Otoroshi-Client-Id": latin(given.id), "Otoroshi-Client-Secret": latin(given.secret) };
  return {};
}

export function latin(text) {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}
