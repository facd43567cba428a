// What the whole page knows of the process: asked every two seconds, and kept for the plots.

import { get, V1 } from "./api.js";
import { every } from "./poll.js";

const PERIOD = 2;
/** Seconds that the plots reach back. */
export const WINDOW = 300;

class Monitor extends EventTarget {
  status = null;
  listeners = [];
  configured = [];
  problems = [];
  pending = [];
  /** [{time, sessions, in, out, accepted, ended: {reason: count}}], rates per second, the oldest first. */
  samples = [];
  #before = null;
  #poll = null;

  start() {
    this.#poll ??= every(PERIOD, () => this.#look());
    return this.#poll.first;
  }

  stop() {
    this.#poll?.stop();
    this.#poll = null;
    this.#before = null;
    this.samples = [];
    this.status = null;
  }

  /** Something was changed: look at once. */
  refresh() {
    return this.#poll?.now();
  }

  async #look() {
    const [status, listeners, problems] = await Promise.all([get(`${V1}status`), get(`${V1}listeners`), get(`${V1}problems`)]);
    const revised = this.status && this.status.revision !== status.revision;
    Object.assign(this, { status, listeners: listeners.listeners, configured: listeners.configured, problems: problems.problems });
    this.pending = status.pending ?? [];
    this.#sample();
    this.dispatchEvent(new Event("change"));
    if (revised) this.dispatchEvent(new Event("revision"));
  }

  #sample() {
    const time = Date.now() / 1000;
    const now = new Map(this.listeners.map((each) => [each.address, each]));
    if (this.#before) {
      const span = Math.max(0.001, time - this.#before.time);
      const sample = { time, sessions: this.status.sessions, in: 0, out: 0, accepted: 0, ended: {} };
      for (const [address, each] of now) {
        const old = this.#before.listeners.get(address);
        sample.in += grown(each.bytes_in, old?.bytes_in) / span;
        sample.out += grown(each.bytes_out, old?.bytes_out) / span;
        sample.accepted += grown(each.accepted, old?.accepted) / span;
        for (const [reason, count] of Object.entries(each.ended)) {
          const more = grown(count, old?.ended[reason]);
          if (more) sample.ended[reason] = (sample.ended[reason] ?? 0) + more;
        }
      }
      this.samples.push(sample);
      while (this.samples[0].time < time - WINDOW - 2 * PERIOD) this.samples.shift();
    }
    this.#before = { time, listeners: now };
  }
}

function grown(now, before) {
  return before === undefined || now < before ? 0 : now - before;
}

export const monitor = new Monitor();
