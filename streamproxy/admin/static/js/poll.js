// Asks again and again, while somebody looks and the API answers.

import { connection } from "./connection.js";

/**
 * Call `task` now and every `period` seconds until `stop` of what is answered is called. Nothing is asked while the
 * page is hidden. `failed(error)` hears of the first failure of a row.
 */
export function every(period, task, failed = () => {}) {
  let timer;
  let stopped = false;
  let failing = false;
  let running = false;

  async function run() {
    clearTimeout(timer);
    if (stopped || running) return;
    if (!document.hidden && !connection.lost) {
      running = true;
      try {
        await task();
        failing = false;
      } catch (error) {
        if (!failing && !stopped) failed(error);
        failing = true;
      }
      running = false;
    }
    if (!stopped) timer = setTimeout(run, period * 1000);
  }

  const seen = () => !document.hidden && run();
  document.addEventListener("visibilitychange", seen);
  connection.addEventListener("back", run);
  const first = run();
  return {
    first,
    now: run,
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
      connection.removeEventListener("back", run);
    },
  };
}
