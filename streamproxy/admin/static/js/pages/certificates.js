// The certificates that are served, how long they last, and which one a client gets.

import { get, V1 } from "../api.js";
import { fill, h } from "../dom.js";
import { day, many } from "../format.js";
import { badge, empty, failed, notice } from "../parts/notice.js";
import { dataTable } from "../parts/table.js";
import { field, text } from "../parts/form.js";
import { every } from "../poll.js";

const SOON = 21;

export async function show({ element, query, onLeave }) {
  const intro = h("div");
  const table = dataTable({
    caption: "Certificates",
    sort: { key: "days", down: false },
    columns: [
      { key: "names", label: "Names", value: (row) => row.names.join(" "), filter: true, cell: (row) => names(row.names) },
      { key: "days", label: "Left", value: (row) => row.days_left ?? Infinity, align: "end", cell: left },
      { key: "until", label: "Until", value: (row) => row.not_after ?? "", cell: (row) => (row.not_after ? day(Date.parse(row.not_after) / 1000) : "never") },
      { key: "key", label: "Key", value: (row) => row.key_types.join(", ") },
      { key: "issuer", label: "Issuer", value: (row) => row.leaves[0]?.issuer ?? "", cell: (row) => (row.leaves[0]?.self_signed ? h("span.muted", "itself") : (row.leaves[0]?.issuer ?? "–")) },
      { key: "id", label: "From", value: (row) => row.id, filter: true, cell: from },
    ],
    empty: empty("No certificate is served.", "Listeners that terminate TLS need one: put it into the directory that tls.certificates names, or create an SSL object.", h("a.button.primary", { href: "#/ssls/new" }, "Create an SSL object")),
  });
  const answer = h("div", { "aria-live": "polite" });
  const name = text(query.get("name") ?? "", { placeholder: "www.example.com" });
  fill(
    element,
    h("header.page-head", h("h1", "Certificates")),
    intro,
    table.element,
    h("section.panel.pad", h("h2", "Test a name"), h("p.muted", "Which certificate would a client be shown that asks for this name? Leave it empty for a client that names none."), h("form.row.end", { onsubmit: test }, field("Name", name, { class: "wide" }), h("button.button", { type: "submit" }, "Test")), answer),
  );
  const poll = every(30, async () => {
    const found = await get(`${V1}certificates`);
    table.rows(found.certificates);
    const late = found.certificates.filter((each) => each.days_left !== null && each.days_left < SOON);
    fill(intro, late.length ? notice(late.some((each) => each.days_left < 0) ? "bad" : "warn", `${many(late.length, "certificate")} ${late.length === 1 ? "ends" : "end"} within three weeks, or already ${late.length === 1 ? "has" : "have"}.`, h("p", "Renew them where they come from: a file is read again when it changes, an object when it is written.")) : null);
  }, (error) => fill(intro, failed(error, () => poll.now())));
  onLeave(poll.stop);
  await poll.first;
  if (query.has("name")) await test();

  async function test(event) {
    event?.preventDefault();
    const asked = name.value.trim();
    try {
      const found = await get(`${V1}certificates/for`, { name: asked });
      fill(
        answer,
        found.certificate
          ? notice("good", h("span", "It is shown ", h("code", found.certificate.names.join(", ")), ` from ${found.certificate.id}.`), h("p", `${found.why}. `, left(found.certificate)))
          : notice("bad", "There is no certificate for it: the handshake would fail.", h("p", found.why)),
        found.candidates.length ? h("ul.candidates", found.candidates.map((each) => h("li", { class: each.won ? "won" : undefined }, h("code", each.name), " ", h("span.muted", each.id), `: ${each.why}`))) : null,
      );
    } catch (error) {
      fill(answer, failed(error, test));
    }
  }
}

function names(all) {
  const shown = all.slice(0, 4).map((each, index) => [index ? " " : null, h("code", each)]);
  return all.length > 4 ? [shown, h("span.muted", { title: all.join(", ") }, ` and ${all.length - 4} more`)] : shown;
}

function left(certificate) {
  const days = certificate.days_left;
  if (days === null) return badge("no end");
  if (days < 0) return badge(`ended ${many(-days, "day")} ago`, "bad");
  return badge(many(days, "day"), days < 7 ? "bad" : days < SOON ? "warn" : "good");
}

function from(row) {
  const object = /^apisix:ssls\/(.+)$/.exec(row.id);
  return object ? h("a", { href: `#/ssls/${encodeURIComponent(object[1])}` }, `SSL ${object[1]}`) : h("code", row.id.replace(/^file:/, ""));
}
