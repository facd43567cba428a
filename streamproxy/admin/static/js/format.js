// Values as people read them: numbers with their units, times relative to now with the date within reach.

import { h, say } from "./dom.js";

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];
export const NARROW = "\u202f";
export const NONE = "–";

/** 1 234 567 */
export function count(value) {
  return value === null || value === undefined ? NONE : Math.round(value).toString().replace(/\B(?=(\d{3})+(?!\d))/g, NARROW);
}

/** One thing, three things. */
export function many(value, one, several = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : several}`;
}

/** Three digits and a unit: 1.23 MB. */
export function bytes(value) {
  if (value === null || value === undefined) return NONE;
  let unit = 0;
  let rest = value;
  while (rest >= 999.5 && unit < UNITS.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || rest >= 99.95 ? 0 : rest >= 9.995 ? 1 : 2;
  return `${rest.toFixed(digits)}${NARROW}${UNITS[unit]}`;
}

export function rate(value) {
  return value === null || value === undefined ? NONE : `${bytes(value)}/s`;
}

/** 0.42 ms, 18 ms, 1.24 s, 3 min 20 s, 2 h 5 min, 3 d 4 h */
export function seconds(value) {
  if (value === null || value === undefined) return NONE;
  if (value === 0) return `0${NARROW}s`;
  if (value < 0.001) return `${Math.max(1, Math.round(value * 1e6))}${NARROW}µs`;
  if (value < 0.01) return `${(value * 1e3).toFixed(1)}${NARROW}ms`;
  if (value < 0.9995) return `${Math.round(value * 1e3)}${NARROW}ms`;
  if (value < 10) return `${value.toFixed(1)}${NARROW}s`;
  if (value < 60) return `${Math.round(value)}${NARROW}s`;
  const whole = Math.round(value);
  if (whole < 3600) return pair(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 86400) return pair(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
  return pair(Math.floor(whole / 86400), "d", Math.floor((whole % 86400) / 3600), "h");
}

function pair(big, bigUnit, small, smallUnit) {
  const first = `${count(big)}${NARROW}${bigUnit}`;
  return small ? `${first} ${small}${NARROW}${smallUnit}` : first;
}

/** "12 s ago", "in 3 d" */
export function relative(epoch, now = Date.now() / 1000) {
  const distance = now - epoch;
  const size = Math.abs(distance);
  if (size < 2) return "now";
  const text = coarse(size);
  return distance >= 0 ? `${text} ago` : `in ${text}`;
}

function coarse(size) {
  if (size < 60) return `${Math.round(size)}${NARROW}s`;
  if (size < 3600) return `${Math.round(size / 60)}${NARROW}min`;
  if (size < 86400) return `${Math.round(size / 3600)}${NARROW}h`;
  if (size < 86400 * 60) return many(Math.round(size / 86400), "day");
  if (size < 86400 * 700) return many(Math.round(size / 86400 / 30.4), "month");
  return many(Math.round(size / 86400 / 365.25), "year");
}

const DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });

export function absolute(epoch) {
  return DATE.format(epoch * 1000);
}

export function day(epoch) {
  return DAY.format(epoch * 1000);
}

/** A <time> that stays true by itself: see `tick`. */
export function ago(epoch) {
  if (epoch === null || epoch === undefined) return NONE;
  const date = new Date(epoch * 1000);
  return h("time", { datetime: date.toISOString(), title: absolute(epoch), dataset: { epoch: String(epoch) } }, relative(epoch));
}

export function retime(element, epoch) {
  element.dataset.epoch = String(epoch);
  element.title = absolute(epoch);
  say(element, relative(epoch));
}

setInterval(() => {
  for (const element of document.querySelectorAll("time[data-epoch]")) say(element, relative(Number(element.dataset.epoch)));
}, 1000);

/** client_closed -> client closed */
export function words(code) {
  return String(code ?? NONE).replaceAll("_", " ");
}

/** Of a document's key: "otoroshi:tcp_services/pg" -> "pg". */
export function shortKey(key) {
  const text = String(key ?? "");
  return text.slice(text.lastIndexOf("/") + 1);
}

/** What a value looks like in a table of differences. */
export function shown(value) {
  if (value === null || value === undefined) return "none";
  return typeof value === "string" ? value : JSON.stringify(value, null, 1).replace(/\n\s*/g, " ");
}
