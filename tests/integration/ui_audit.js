// What is wrong with the page that is shown, as a list of sentences: names, references, headings, what is inline, width.
const seen = (element) => element.getClientRects().length > 0;
const said = (element) => {
  const labelled = (element.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id));
  const names = [element.getAttribute("aria-label"), ...labelled.map((each) => each?.textContent),
    ...[...element.labels ?? []].map((each) => each.textContent), element.textContent, element.title];
  return names.some((name) => name && name.trim());
};
const found = [];
for (const control of document.querySelectorAll("input, select, textarea, button, a[href], summary, [role]")) {
  const plain = control.closest("[aria-hidden=true]") || ["status", "alert", "search", "tablist"].includes(control.getAttribute("role"));
  if (seen(control) && !plain && !said(control)) found.push("no name: " + control.outerHTML.slice(0, 150));
}
const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
for (const id of ids) if (ids.filter((other) => other === id).length > 1) found.push("twice: " + id);
for (const element of document.querySelectorAll("[aria-describedby], [aria-controls], label[for]")) {
  for (const name of ["aria-describedby", "aria-controls", "for"]) {
    const value = element.getAttribute(name);
    for (const id of value ? value.split(" ") : []) if (!document.getElementById(id)) found.push(name + " names nothing: " + id);
  }
}
for (const table of document.querySelectorAll("table")) if (!table.caption?.textContent) found.push("a table without a caption");
const headings = [...document.querySelectorAll("h1")].filter(seen);
if (headings.length !== 1) found.push("first headings: " + headings.length);
if (document.querySelectorAll("[tabindex]:not([tabindex='0'], [tabindex='-1'])").length) found.push("an order of its own");
if (document.querySelectorAll("[style*=url], [onclick], script:not([src]), style").length) found.push("something inline");
for (const cell of document.querySelectorAll("[data-label]")) {
  const label = getComputedStyle(cell, "::before");
  const over = label.position === "absolute" && label.content !== "none" && parseFloat(getComputedStyle(cell).paddingLeft) < 48;
  if (seen(cell) && over) found.push("a label over its value: " + cell.dataset.label);
}
const wide = document.documentElement.scrollWidth - innerWidth;
if (wide > 0) found.push("wider than the window by " + wide);
return found;
