// The API, asked with the credentials of this tab. What goes wrong becomes an error whose message is a sentence.

import * as auth from "./auth.js";
import { connection } from "./connection.js";

const ROOT = new URL("..", document.baseURI);
export const V1 = "streamproxy/v1/";

/** The API refused. `problems`: [{path, code, message}]. */
export class Refused extends Error {
  constructor(status, body, text) {
    super(sentence(status, body, text));
    this.status = status;
    this.body = body;
    this.problems = Array.isArray(body?.problems) ? body.problems : [];
  }
}

/** Nobody answered. */
export class Lost extends Error {
  constructor() {
    super("The API does not answer, so nothing was sent or stored. What you typed is still here: try again when the connection is back.");
  }
}

/** The user would not log in again. */
export class LoggedOut extends Error {
  constructor() {
    super("You are not logged in any more. Log in again, then repeat what you did: what you typed is still here.");
  }
}

let relogin = async () => false;

/** How to ask for credentials when those there were do not do any more: answers whether there are new ones. */
export function onExpired(ask) {
  relogin = ask;
}

function sentence(status, body, text) {
  const told = body?.error_description ?? body?.error_msg ?? body?.message;
  const said = Array.isArray(told) ? told.join("; ") : told;
  if (status === 403 && /not allowed to do this|for role viewer/.test(`${said} ${body?.description}`)) {
    return `Your key may only read, so nothing was changed (the API says: ${body.description ?? said}). Log in with an admin key to change anything.`;
  }
  if (status === 412 || (status === 409 && body?.error === "conflict")) {
    return `${capital(said ?? "Somebody else changed this meanwhile")}. Open it again in another tab to see what changed; what you typed is still here.`;
  }
  if (status === 413) return `This is too large for the API (${said ?? "413"}).`;
  if (said) return capital(said);
  if (status >= 500) return `The API failed (${status}). Its log says why.`;
  return text ? `The API refused this (${status}): ${text.slice(0, 200)}` : `The API refused this (${status}).`;
}

function capital(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : text;
}

function url(path, query) {
  const found = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") found.searchParams.append(name, value);
  }
  return found;
}

async function sent(path, { method = "GET", body, query, headers, signal, credentials }) {
  const given = { ...auth.headers(credentials), ...headers };
  let data;
  if (body !== undefined) {
    data = typeof body === "string" ? body : JSON.stringify(body);
    given["Content-Type"] ??= "application/json";
  }
  try {
    const response = await fetch(url(path, query), { method, headers: given, body: data, signal, cache: "no-store", credentials: "omit" });
    connection.answered();
    return response;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    connection.fail();
    throw new Lost();
  }
}

/** Ask, and answer the Response; raises Refused, Lost or LoggedOut. */
export async function ask(path, options = {}) {
  let response = await sent(path, options);
  if (response.ok) return response;
  let refused = await refusal(response);
  if (refused.status === 401) {
    if (!(await relogin())) throw new LoggedOut();
    response = await sent(path, options);
    if (response.ok) return response;
    refused = await refusal(response);
  }
  throw refused;
}

async function refusal(response) {
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = null;
  }
  // APISIX's API says 401 to those whom it knows, too.
  const status = body?.description?.includes("for role viewer") ? 403 : response.status;
  return new Refused(status, body, text);
}

/** Ask for JSON. */
export async function get(path, query, options = {}) {
  const response = await ask(path, { ...options, query });
  return response.json();
}

/** The JSON of one document, and the tag by which a write says what it saw. */
export async function getTagged(path) {
  const response = await ask(path);
  return { value: await response.json(), tag: response.headers.get("ETag") };
}

/** Write. `reason` is kept with the revision. */
export async function write(method, path, body, { query, reason, tag, headers } = {}) {
  const given = { ...headers };
  if (reason) given["X-Reason"] = auth.latin(reason);
  if (tag) given["If-Match"] = tag;
  const response = await ask(path, { method, body, query, headers: given });
  const text = await response.text();
  return { value: text ? JSON.parse(text) : null, tag: response.headers.get("ETag"), revision: response.headers.get("X-Revision") };
}

/** Does the API ask for credentials at all? To try would be a failed login. */
export async function isOpen() {
  const response = await sent("ui/config.json", { credentials: {} });
  return response.ok && !(await response.json()).credentials_required;
}

/** Who do these credentials prove? Raises Refused (401) where they prove nobody. */
export async function who(credentials) {
  const response = await sent(`${V1}me`, { credentials });
  if (response.ok) return response.json();
  const text = await response.text();
  throw new Refused(response.status, null, text);
}

/** JSON of YAML, by the server's own rules. */
export async function fromYaml(text) {
  const response = await ask(`${V1}convert`, { method: "POST", body: text, headers: { "Content-Type": "application/yaml", Accept: "application/json" } });
  return response.json();
}

export async function toYaml(value) {
  const response = await ask(`${V1}convert`, { method: "POST", body: value, headers: { Accept: "application/yaml" } });
  return response.text();
}

/** Server-sent events through fetch, since EventSource cannot prove who it is. `heard(event, data)`. */
export async function events(path, query, signal, heard) {
  const response = await ask(path, { query, signal, headers: { Accept: "text/event-stream" } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = {};
      for (const line of block.split("\n")) {
        const colon = line.indexOf(":");
        if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
      }
      if (fields.event) heard(fields.event, JSON.parse(fields.data));
    }
  }
}
