// The sessions there are and were: live, filtered and sorted by the server, each with its why, and an end to each.

import * as auth from "../auth.js";
import { events, get, V1, write } from "../api.js";
import { connection } from "../connection.js";
import { debounce, fill, h, keyed, say } from "../dom.js";
import { absolute, ago, bytes, count, many, seconds, words } from "../format.js";
import { icon } from "../icons.js";
import { every } from "../poll.js";
import { note } from "../router.js";
import { confirm, open } from "../parts/dialog.js";
import { field, select, text } from "../parts/form.js";
import { badge, empty, facts, failed } from "../parts/notice.js";
import { toast } from "../parts/toast.js";
import { whyView } from "../parts/why.js";

const SIZES = [25, 50, 100, 250, 1000];
const GOOD = new Set(["client_closed", "target_closed"]);
const COLUMNS = [
  ["state", "State", null],
  ["client", "Client", "client"],
  ["name", "Name", "name"],
  ["listener", "Listener", "listener"],
  ["node", "Node", "node"],
  ["started", "Started", "started"],
  ["duration", "Duration", "duration", "end"],
  ["connect_time", "Connect", "connect_time", "end spare"],
  ["bytes_in", "To target", "bytes_in", "end"],
  ["bytes_out", "To client", "bytes_out", "end"],
];

export async function show({ element, query, path, onLeave }) {
  const filter = Object.fromEntries(query);
  const limit = Number(filter.limit) || 50;
  const wanted = { state: "", sort: "-started", ...filter, limit, offset: 0 };
  let paused = false;
  let total = 0;

  const body = h("tbody");
  const heads = new Map();
  const state = h("span.muted", { role: "status" });
  const pager = h("nav.pager", { "aria-label": "Pages of sessions" });
  const nothing = h("div");
  const scroll = h(
    "div.table-scroll",
    h(
      "table.table.sessions",
      h("caption.sr-only", "Sessions"),
      h(
        "thead",
        h(
          "tr",
          COLUMNS.map(([key, label, sort, align]) => {
            const cell = h("th", { scope: "col", class: align }, sort ? h("button.sort", { type: "button", onclick: () => sortBy(sort) }, label, h("span.sort-mark", { "aria-hidden": "true" })) : label);
            heads.set(sort ?? key, cell);
            return cell;
          }),
          h("th.end", { scope: "col" }, h("span.sr-only", "Actions")),
        ),
      ),
      body,
    ),
  );
  const pause = h("button.button", { type: "button", "aria-pressed": "false", onclick: hold }, icon("pause"), h("span", "Pause"));
  const search = text(wanted.q, { type: "search", placeholder: "address, name, node, route, reason …", oninput: debounce((value) => set({ q: value }), 250) });
  const which = select(wanted.state, [["", "Live and ended"], ["live", "Live"], ["ended", "Ended"]], { onchange: (value) => set({ state: value }) });
  const peer = text(wanted.peer, { placeholder: "10.0.0.0/8", oninput: debounce((value) => set({ peer: value.trim() }), 400) });
  const chips = h("div.chips");
  const killAll = h("button.button.danger.outline", { type: "button", onclick: endAll }, icon("stop"), "End all of these …");

  fill(
    element,
    h("header.page-head", h("h1", "Sessions"), state, h("div.page-actions", pause)),
    h("form.toolbar", { onsubmit: (event) => event.preventDefault(), role: "search", "aria-label": "Filter sessions" }, field("Find", search, { class: "wide" }), field("Show", which), field("Client network", peer), auth.canWrite() ? h("div.field.end", killAll) : null),
    chips,
    h("div.table-box", nothing, scroll, pager),
  );

  const poll = every(3, read, (error) => fill(nothing, failed(error, () => poll.now())));
  const abort = new AbortController();
  onLeave(() => {
    poll.stop();
    abort.abort();
  });
  const hurry = debounce(() => !paused && poll.now(), 250);
  listen();
  await poll.first;
  if (path[0]) drawer(path[0]);

  /** Ask at once when something happens, and every three seconds for what flows. */
  async function listen() {
    while (!abort.signal.aborted) {
      try {
        await events(`${V1}sessions/events`, {}, abort.signal, hurry);
      } catch (error) {
        if (error.name === "AbortError") return;
      }
      await new Promise((resolve) => setTimeout(resolve, connection.lost ? 3000 : 1000));
    }
  }

  function parameters() {
    const { offset, ...rest } = wanted;
    return { ...rest, offset: offset || undefined };
  }

  async function read() {
    if (paused) return;
    const asked = JSON.stringify(wanted);
    let found;
    try {
      found = await get(`${V1}sessions`, parameters());
    } catch (error) {
      if (error.status !== 400) throw error;
      say(state, error.message);
      peer.setAttribute("aria-invalid", "true");
      return;
    }
    if (asked !== JSON.stringify(wanted)) return;
    peer.removeAttribute("aria-invalid");
    total = found.total;
    say(state, `${many(found.live, "live session")}, ${count(total)} shown here${total > found.sessions.length ? ` on ${pages()} pages` : ""}`);
    draw(found.sessions);
  }

  function draw(sessions) {
    keyed(body, sessions, (each) => each.id, row, update);
    scroll.hidden = !sessions.length;
    killAll.disabled = !filtered();
    killAll.title = filtered() ? "" : "Filter first: this ends what the filters show";
    if (sessions.length) fill(nothing);
    else if (filtered() || wanted.state) fill(nothing, empty("No session is like that.", "Change or clear the filters above. Ended sessions are remembered up to a thousand."));
    else fill(nothing, empty("There were no sessions yet.", "As soon as a client connects to a listener it is shown here, whatever becomes of it.", h("a.button", { href: "#/overview" }, "See what listens"), h("a.button", { href: "#/explain" }, "Try a made-up connection")));
    for (const [key, cell] of heads) {
      const down = wanted.sort === `-${key}`;
      if (down || wanted.sort === key) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    drawChips();
    drawPager();
  }

  function row(each) {
    const cell = (label, align) => h("td", { class: align, dataset: { label } });
    const made = h(
      "tr.link",
      { onclick: (event) => !event.target.closest("a, button") && !getSelection().toString() && drawer(made.dataset.key) },
      COLUMNS.map(([, label, , align]) => cell(label, align)),
      h(
        "td.end.actions",
        h("button.button.small", { type: "button", "aria-label": `Why did ${each.client} go there`, onclick: () => drawer(each.id) }, "Why"),
        auth.canWrite() ? h("button.button.small.quiet.square.kill", { type: "button", "aria-label": `End the session of ${each.client}`, title: "End this session", onclick: () => end(each.id, each.client) }, icon("stop")) : null,
      ),
    );
    fill(made.children[1], h("code", each.client));
    fill(made.children[3], h("code", each.listener));
    fill(made.children[5], ago(each.started));
    update(made, each);
    return made;
  }

  function update(made, each) {
    const [status, , name, , node, , duration, connect, sent, received, actions] = made.children;
    const word = each.ending ?? each.phase;
    if (made.dataset.word !== word) {
      made.dataset.word = word;
      fill(status, stateBadge(each));
      const kill = actions.querySelector(".kill");
      if (kill) kill.hidden = each.state !== "live";
    }
    say(name, each.name ?? "–");
    say(node, each.node ?? "–");
    say(duration, seconds(each.duration));
    say(connect, seconds(each.connect_time));
    say(sent, bytes(each.bytes_in));
    say(received, bytes(each.bytes_out));
  }

  function filtered() {
    return Object.entries(wanted).some(([name, value]) => value && !["state", "sort", "limit", "offset"].includes(name));
  }

  function set(change) {
    Object.assign(wanted, { offset: 0 }, change);
    const kept = Object.entries(wanted).filter(([name, value]) => value && !["offset"].includes(name) && !(name === "sort" && value === "-started") && !(name === "limit" && value === 50));
    note(`#/sessions${kept.length ? `?${new URLSearchParams(kept)}` : ""}`);
    poll.now();
  }

  function sortBy(key) {
    set({ sort: wanted.sort === `-${key}` ? key : `-${key}` });
  }

  function drawChips() {
    const shown = Object.entries(wanted).filter(([name, value]) => value && !["state", "sort", "limit", "offset", "q", "peer"].includes(name));
    const key = JSON.stringify(shown);
    if (chips.dataset.key === key) return;
    chips.dataset.key = key;
    fill(chips, shown.map(([name, value]) => h("button.chip", { type: "button", title: "Remove this filter", onclick: () => set({ [name]: "" }) }, `${words(name)}: ${words(value)}`, icon("close"))));
  }

  function pages() {
    return Math.max(1, Math.ceil(total / wanted.limit));
  }

  function drawPager() {
    const page = Math.floor(wanted.offset / wanted.limit);
    const key = `${page} ${pages()} ${wanted.limit}`;
    if (pager.dataset.key === key) return;
    pager.dataset.key = key;
    const size = select(wanted.limit, SIZES, { onchange: (value) => set({ limit: Number(value) }), class: "small", "aria-label": "Rows per page" });
    const move = (by) => {
      wanted.offset = (page + by) * wanted.limit;
      poll.now();
    };
    fill(
      pager,
      h("span.grow"),
      h("span", "Rows per page"),
      size,
      h("button.button.square", { type: "button", "aria-label": "Page before", disabled: page === 0, onclick: () => move(-1) }, icon("left")),
      h("span", `${page + 1} / ${pages()}`),
      h("button.button.square", { type: "button", "aria-label": "Next page", disabled: page >= pages() - 1, onclick: () => move(1) }, icon("right")),
    );
  }

  function hold() {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    fill(pause, icon(paused ? "play" : "pause"), h("span", paused ? "Go on" : "Pause"));
    if (!paused) poll.now();
  }

  async function end(id, client) {
    if (!(await confirm("End this session?", `The connection of ${client} and the one to its target are reset at once.`, { verb: "End it", danger: true }))) return;
    await killed("DELETE", `${V1}sessions/${encodeURIComponent(id)}`);
  }

  async function endAll() {
    const { sort, limit: _limit, offset, state: _state, ...rest } = wanted;
    const chosen = { ...rest, state: "live" };
    try {
      const { value } = await write("DELETE", `${V1}sessions`, undefined, { query: { ...chosen, dry_run: "true" } });
      if (!value.killed.length) {
        toast("None of these is live, so there is nothing to end.", "bad");
        return;
      }
      if (!(await confirm(`End ${many(value.killed.length, "session")}?`, "Every live session that the filters show is reset at once, on both sides.", { verb: `End ${many(value.killed.length, "session")}`, danger: true }))) return;
    } catch (error) {
      toast(error.message, "bad");
      return;
    }
    await killed("DELETE", `${V1}sessions`, chosen);
  }

  async function killed(method, path, chosen) {
    try {
      const { value } = await write(method, path, undefined, { query: chosen });
      toast(`${many(value.killed.length, "session")} ended.`);
    } catch (error) {
      toast(error.message, "bad");
    }
    poll.now();
  }
}

export function stateBadge(session) {
  if (session.state === "live") return badge(session.phase === "relaying" ? "live" : words(session.phase), "live");
  return badge(words(session.ending), GOOD.has(session.ending) ? "" : "bad");
}

/** One session in a drawer: what it is and why. */
export async function drawer(id) {
  const place = h("div", h("p.muted", "Reading …"));
  const load = async () => {
    try {
      const [session, why] = await Promise.all([get(`${V1}sessions/${encodeURIComponent(id)}`), get(`${V1}sessions/${encodeURIComponent(id)}/why`)]);
      fill(place, whyView(why, details(session)));
    } catch (error) {
      fill(place, failed(error, load));
    }
  };
  load();
  const before = location.hash;
  note(`#/sessions/${encodeURIComponent(id)}`);
  await open(`Session ${id}`, () => ({ body: place }), { kind: "drawer" });
  if (location.hash === `#/sessions/${encodeURIComponent(id)}`) note(before === location.hash ? "#/sessions" : before);
}

function details(session) {
  return facts([
    ["Detail", session.detail],
    ["Started", h("span", absolute(session.started), " (", ago(session.started), ")")],
    ["Duration", seconds(session.duration)],
    ["Sniffing", session.sniff_time === null ? null : seconds(session.sniff_time)],
    ["Handshake", session.handshake_time === null ? null : seconds(session.handshake_time)],
    ["Connect", session.connect_time === null ? null : `${seconds(session.connect_time)}${session.attempts > 1 ? `, ${session.attempts} attempts` : ""}`],
    ["Bytes", `${bytes(session.bytes_in)} to the target, ${bytes(session.bytes_out)} to the client`],
    ["Via", session.via && h("code", session.via)],
    ["Claimed", session.claimed && h("code", session.claimed)],
    ["Variables", Object.keys(session.variables ?? {}).length ? h("code", Object.entries(session.variables).map(([name, value]) => `${name}=${value}`).join(" ")) : null],
  ]);
}
