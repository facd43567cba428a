// Is the API there? When it is not, it is asked again and again, and everybody is told when it is back.

const WAITS = [1, 2, 3, 5, 8, 10];

class Connection extends EventTarget {
  lost = false;
  #attempt = 0;
  #timer;
  #due = 0;

  /** Somebody could not reach it. */
  fail() {
    if (this.lost) return;
    this.lost = true;
    this.#attempt = 0;
    this.#later();
    this.#tell();
  }

  /** Somebody got an answer. */
  answered() {
    if (!this.lost) return;
    clearTimeout(this.#timer);
    this.lost = false;
    this.#tell();
    this.dispatchEvent(new Event("back"));
  }

  /** Seconds until it is asked again. */
  get wait() {
    return Math.max(0, Math.ceil((this.#due - Date.now()) / 1000));
  }

  async tryNow() {
    clearTimeout(this.#timer);
    this.#due = Date.now();
    this.#tell();
    try {
      await fetch(new URL("../streamproxy/v1/live", document.baseURI), { cache: "no-store", signal: AbortSignal.timeout(8000) });
      this.answered();
    } catch {
      this.#attempt += 1;
      this.#later();
      this.#tell();
    }
  }

  #later() {
    const wait = WAITS[Math.min(this.#attempt, WAITS.length - 1)];
    this.#due = Date.now() + wait * 1000;
    this.#timer = setTimeout(() => this.tryNow(), wait * 1000);
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

export const connection = new Connection();
