// The frame around every page: where one can go, who one is, and what everybody should know at once.

import * as auth from "./auth.js";
import { connection } from "./connection.js";
import { fill, h, say } from "./dom.js";
import { icon, mark } from "./icons.js";
import { monitor } from "./monitor.js";
import { failed } from "./parts/notice.js";
import { mountToasts, toast } from "./parts/toast.js";
import { write, V1 } from "./api.js";
import { setTheme, theme } from "./theme.js";

const PAGES = [
  [
    "Now",
    ["overview", "Overview", "overview"],
    ["sessions", "Sessions", "sessions"],
    ["explain", "Explain", "explain"],
  ],
  [
    "Configuration",
    ["tcp-services", "TCP services", "service"],
    ["stream-routes", "Stream routes", "route"],
    ["upstreams", "Upstreams", "upstream"],
    ["services", "Services", "layers"],
    ["listeners", "Listeners", "listener"],
    ["certificates", "Certificates", "certificate"],
    ["ssls", "SSL objects", "key"],
  ],
  [
    "History",
    ["revisions", "Revisions", "history"],
  ],
];
const FOOT = [
  ["settings", "Settings", "settings"],
  ["about", "About", "about"],
];
const TITLES = Object.fromEntries([...PAGES.flatMap(([, ...pages]) => pages), ...FOOT].map(([name, title]) => [name, title]));

// Where each page's program is; pages of the same kind share one.
const MODULES = {
  "stream-routes": "documents",
  services: "documents",
  listeners: "documents",
  ssls: "documents",
  "tcp-services": "tcp_services",
};

export class Shell {
  #links = new Map();
  #main = h("main", { id: "main", tabindex: "-1" });
  #banner = h("div.banners", { "aria-live": "polite" });
  #who = h("p.who");
  #end = null;
  #turn = 0;
  #ticking = setInterval(() => this.#banners(), 1000);

  constructor(leave) {
    const nav = h("nav.nav", { id: "nav", "aria-label": "Pages" }, PAGES.map(([title, ...pages]) => h("section", h("h2.nav-title", title), h("ul", pages.map((page) => this.#link(page))))), h("section.nav-foot", h("ul", FOOT.map((page) => this.#link(page)))));
    const menu = h("button.button.quiet.square.menu", { type: "button", "aria-label": "Menu", "aria-controls": "nav", "aria-expanded": "false", onclick: () => this.#toggle() }, icon("menu"));
    this.menu = menu;
    this.element = h(
      "div.shell",
      h("header.side", h("div.brand", h("a.brand-link", { href: "#/overview" }, mark(), h("span", "streamproxy")), menu), nav, h("div.side-foot", this.#who, h("div.row.tight", this.#themeButton(), h("button.button.quiet.small", { type: "button", onclick: leave }, icon("out"), "Log out")))),
      h("div.content", this.#banner, this.#main),
      mountToasts(),
    );
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && this.element.classList.contains("open") && (this.#toggle(false), menu.focus()));
    this.identify();
    connection.addEventListener("change", () => this.#banners());
    monitor.addEventListener("change", () => this.#banners());
  }

  #link([name, title, image]) {
    const link = h("a.nav-link", { href: `#/${name}` }, icon(image), h("span", title));
    this.#links.set(name, link);
    return h("li", link);
  }

  #themeButton() {
    const names = { auto: "as the system", light: "light", dark: "dark" };
    const icons = { auto: "auto", light: "sun", dark: "moon" };
    const button = h("button.button.quiet.square", { type: "button", onclick: () => (setTheme({ auto: "light", light: "dark", dark: "auto" }[theme()]), draw()) });
    const draw = () => {
      button.setAttribute("aria-label", `Colours: ${names[theme()]}`);
      button.title = `Colours: ${names[theme()]}`;
      fill(button, icon(icons[theme()]));
    };
    document.addEventListener("themechange", draw);
    draw();
    return button;
  }

  #toggle(open = !this.element.classList.contains("open")) {
    this.element.classList.toggle("open", open);
    this.menu.setAttribute("aria-expanded", String(open));
  }

  identify() {
    const { name, role } = auth.identity;
    fill(this.#who, h("strong", name), h("span.muted", ` ${role === "viewer" ? "viewer: may read only" : role}`));
  }

  /** Show the page of this place. */
  async show({ path, query }) {
    const [name = "overview", ...rest] = path;
    this.#toggle(false);
    for (const [page, link] of this.#links) {
      if (page === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.#turn += 1;
    const turn = this.#turn;
    this.#end?.();
    this.#end = null;
    document.title = `${TITLES[name] ?? "Nothing here"} · streamproxy`;
    const page = h("div.page", { dataset: { place: path.join("/") } });
    const ends = [];
    const context = {
      name,
      path: rest,
      query,
      element: page,
      title: (text) => (document.title = `${text} · streamproxy`),
      /** What to do when the page is left. */
      onLeave: (end) => (turn === this.#turn ? ends.push(end) : end()),
      again: () => this.show({ path, query }),
    };
    this.#end = () => ends.splice(0).forEach((end) => end());
    try {
      if (!(name in TITLES)) throw new Error("There is no such page. The links beside this lead to those there are.");
      const module = await import(`./pages/${MODULES[name] ?? name}.js`);
      if (turn !== this.#turn) return;
      await module.show(context);
    } catch (error) {
      if (error.name === "AbortError") return;
      fill(page, h("header.page-head", h("h1", TITLES[name] ?? "Nothing here")), failed(error, context.again));
    }
    if (turn !== this.#turn) return;
    fill(this.#main, page);
    scrollTo(0, 0);
    // What is read first stays the skip link; from then on a new page is read from its beginning.
    if (turn === 1) return;
    if (document.activeElement === document.body || !document.activeElement?.isConnected || this.element.querySelector(".nav")?.contains(document.activeElement)) this.#main.focus({ preventScroll: true });
  }

  #banners() {
    const found = [];
    if (connection.lost) found.push(["lost", () => this.#lost()]);
    for (const pending of monitor.pending) found.push([`pending-${pending.revision}`, () => this.#pending(pending)]);
    const names = found.map(([name]) => name).join(" ");
    if (this.#banner.dataset.names !== names) {
      this.#banner.dataset.names = names;
      fill(this.#banner, found.map(([, make]) => make()));
    }
    for (const element of this.#banner.querySelectorAll("[data-wait]")) say(element, connection.wait ? `Trying again in ${connection.wait} s.` : "Trying now …");
    for (const element of this.#banner.querySelectorAll("[data-deadline]")) {
      const left = Math.max(0, Math.ceil(Number(element.dataset.deadline) - Date.now() / 1000));
      say(element, left > 120 ? `${Math.ceil(left / 60)} minutes` : `${left} s`);
    }
  }

  #lost() {
    return h(
      "div.banner.bad",
      icon("warn"),
      h("p", h("strong", "No connection to the API. "), "What you see is from before, and what you typed is kept. ", h("span", { dataset: { wait: "" }, "aria-live": "off" })),
      h("button.button.small", { type: "button", onclick: () => connection.tryNow() }, "Try now"),
    );
  }

  #pending({ revision, deadline }) {
    const act = async (path, done) => {
      try {
        await write("POST", path);
        toast(done);
        await monitor.refresh();
      } catch (error) {
        toast(error.message, "bad");
      }
    };
    return h(
      "div.banner.warn",
      icon("history"),
      h("p", h("strong", `Revision ${revision} waits for you. `), "It is taken back in ", h("span.num", { dataset: { deadline: String(deadline) }, "aria-live": "off" }), " unless somebody confirms it. ", h("a", { href: `#/revisions/${revision}` }, "See what it changed")),
      auth.canWrite()
        ? [
            h("button.button.small.primary", { type: "button", onclick: () => act(`${V1}revisions/${revision}/confirm`, `Revision ${revision} stays.`) }, "Keep it"),
            // Behind later revisions it cannot be taken back alone.
            monitor.status.revision === revision ? h("button.button.small", { type: "button", onclick: () => act(`${V1}revisions/${revision - 1}/rollback`, `Revision ${revision} is taken back.`) }, "Take it back") : null,
          ]
        : null,
    );
  }
}
