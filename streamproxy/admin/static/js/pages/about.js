// What this is, and where to read more.

import { get, V1 } from "../api.js";
import { fill, h } from "../dom.js";
import { ago, count, seconds } from "../format.js";
import { icon, mark } from "../icons.js";
import { monitor } from "../monitor.js";
import { pretty } from "../parts/editor.js";
import { download } from "../parts/form.js";
import { badge, facts } from "../parts/notice.js";

export async function show({ element, path }) {
  if (path[0] === "openapi") return openapi(element);
  await monitor.start();
  const { status } = monitor;
  fill(
    element,
    h("header.page-head", h("h1", "About")),
    h("section.panel.pad", h("div.about-head", mark(), h("div", h("p.about-name", "streamproxy"), h("p.muted", "A programmable layer-4 proxy for TCP, UDP and TLS."))), facts([["Version", status.version], ["Started", ago(Date.now() / 1000 - status.uptime)], ["Up", seconds(Math.floor(status.uptime))], ["Revision", count(status.revision)]])),
    h(
      "section.panel.pad",
      h("h2", "For programs"),
      h("p", "Everything here is done with APIs that anybody may use."),
      h(
        "ul.links",
        h("li", h("a", { href: "#/about/openapi" }, "OpenAPI document"), h("span.muted", " of /streamproxy/v1, which has everything that the others have not")),
        h("li", h("code", "/api/tcp/services"), h("span.muted", " and /apis/proxy.otoroshi.io/v1/tcp-services, as Otoroshi has them")),
        h("li", h("code", "/apisix/admin"), h("span.muted", " as APISIX has it")),
      ),
    ),
    h(
      "section.panel.pad",
      h("h2", "What this page is made with"),
      h(
        "ul.links",
        h("li", h("a", { href: "vendor/uplot/LICENSE", target: "_blank" }, "uPlot"), h("span.muted", ", plots, MIT licence")),
        h("li", h("a", { href: "fonts/inter.LICENSE", target: "_blank" }, "Inter"), h("span.muted", " and "), h("a", { href: "fonts/jetbrains-mono.LICENSE", target: "_blank" }, "JetBrains Mono"), h("span.muted", ", type, SIL Open Font Licence")),
      ),
      h("p.muted.small", "Everything comes from this server: the page works without the internet and tells nobody that you are here."),
    ),
  );
  return undefined;
}

/** Every operation of our own API, by path. */
async function openapi(element) {
  const found = await get(`${V1}openapi.json`);
  const operations = Object.entries(found.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })));
  fill(
    element,
    h(
      "header.page-head",
      h("nav.crumbs", { "aria-label": "Where this is" }, h("a", { href: "#/about" }, "About")),
      h("h1", "OpenAPI document"),
      h("div.page-actions", h("button.button", { type: "button", onclick: () => download("streamproxy-openapi.json", pretty(found), "application/json") }, icon("download"), "Download")),
    ),
    h(
      "div.table-box",
      h(
        "div.table-scroll",
        h(
          "table.table.operations",
          h("caption.sr-only", "Operations"),
          h("thead", h("tr", ["Method", "Path", "What it does"].map((label) => h("th", { scope: "col" }, label)))),
          h("tbody", operations.map(({ path, method, operation }) => h("tr", h("td", badge(method, { GET: "", DELETE: "bad" }[method] ?? "info")), h("th", { scope: "row" }, h("code", path)), h("td", operation.summary)))),
        ),
      ),
    ),
  );
}
