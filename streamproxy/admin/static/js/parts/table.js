// A table that is sorted, filtered and paged here, of what was read at once.

import { count, many } from "../format.js";
import { debounce, fill, h, unique } from "../dom.js";
import { icon } from "../icons.js";

const SIZES = [5, 15, 20, 50, 100];

/**
 * `columns`: [{key, label, value(row) to sort and filter by, cell(row), filter: bool, align, wide}]. `href(row)`: where
 * a click on a row leads. `empty`: what is shown where there is nothing at all. Answers {element, rows(list)}.
 */
export function dataTable({ caption, columns, href, actions, empty, size = 15, sort }) {
  let rows = [];
  let order = sort ?? { key: columns[0].key, down: false };
  let page = 0;
  let perPage = size;
  const wanted = new Map();

  const heads = new Map();
  const head = h(
    "tr",
    columns.map((column) => {
      const cell = h("th", { scope: "col", class: column.align });
      if (column.value) {
        const button = h("button.sort", { type: "button", onclick: () => sortBy(column.key) }, column.label, h("span.sort-mark", { "aria-hidden": "true" }));
        cell.append(button);
      } else {
        cell.append(column.label);
      }
      heads.set(column.key, cell);
      return cell;
    }),
    actions ? h("th", { scope: "col", class: "end" }, h("span.sr-only", "Actions")) : null,
  );
  const filters = columns.some((column) => column.filter)
    ? h(
        "tr.filters",
        columns.map((column) =>
          h(
            "td",
            { class: column.align, dataset: column.filter ? { label: column.label } : {} },
            column.filter
              ? h("input.input.small", { type: "search", placeholder: "Search …", "aria-label": `Search ${column.label.toLowerCase()}`, autocomplete: "off", oninput: debounce((event) => (wanted.set(column.key, event.target.value.toLowerCase()), (page = 0), draw()), 120) })
              : null,
          ),
        ),
        actions ? h("td") : null,
      )
    : null;
  const body = h("tbody");
  const table = h("table.table", h("caption.sr-only", caption), h("thead", head, filters), body);
  const pager = h("nav.pager", { "aria-label": `Pages of ${caption}` });
  const element = h("div.table-box");

  function sortBy(key) {
    order = { key, down: order.key === key ? !order.down : false };
    page = 0;
    draw();
  }

  function chosen() {
    const tests = columns.filter((column) => wanted.get(column.key));
    const found = rows.filter((row) => tests.every((column) => String(column.value(row)).toLowerCase().includes(wanted.get(column.key))));
    const column = columns.find((each) => each.key === order.key);
    if (column?.value) {
      found.sort((one, other) => compare(column.value(one), column.value(other)) * (order.down ? -1 : 1));
    }
    return found;
  }

  function draw() {
    // Where there is little room, nobody searches in what can be seen at once.
    table.classList.toggle("few", rows.length <= Math.min(...SIZES));
    if (!rows.length && empty) {
      fill(element, empty);
      return;
    }
    const found = chosen();
    const pages = Math.max(1, Math.ceil(found.length / perPage));
    page = Math.min(page, pages - 1);
    const shown = found.slice(page * perPage, (page + 1) * perPage);
    for (const [key, cell] of heads) {
      if (key === order.key) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    fill(
      body,
      shown.map((row) => rowOf(row)),
      shown.length ? null : h("tr", h("td.nothing", { colspan: columns.length + (actions ? 1 : 0) }, "Nothing matches. Clear a search to see more.")),
    );
    drawPager(found.length, pages);
    if (!element.contains(table)) fill(element, h("div.table-scroll", table), pager);
  }

  function rowOf(row) {
    const cells = columns.map((column) => h("td", { class: column.align, dataset: { label: column.label } }, column.cell ? column.cell(row) : column.value(row)));
    const target = href?.(row);
    return h(
      "tr",
      {
        class: target ? "link" : undefined,
        onclick: (event) => {
          if (target && !event.target.closest("a, button, input, label") && !getSelection().toString()) location.hash = target;
        },
      },
      cells,
      actions ? h("td.end.actions", actions(row)) : null,
    );
  }

  function drawPager(total, pages) {
    const id = unique("rows");
    const first = total ? page * perPage + 1 : 0;
    pager.hidden = rows.length <= Math.min(...SIZES) && !wanted.size;
    fill(
      pager,
      h("span.muted", `${count(first)}–${count(Math.min(total, (page + 1) * perPage))} of ${many(total, "row")}`),
      h("span.grow"),
      h("label", { for: id }, "Rows per page"),
      h("select.input.small", { id, onchange: (event) => ((perPage = Number(event.target.value)), (page = 0), draw(), document.getElementById(pager.querySelector("select").id)?.focus()) }, SIZES.map((each) => h("option", { value: each, selected: each === perPage }, each))),
      h("button.button.square", { type: "button", "aria-label": "Page before", disabled: page === 0, onclick: () => ((page -= 1), draw()) }, icon("left")),
      h("span", `${page + 1} / ${pages}`),
      h("button.button.square", { type: "button", "aria-label": "Next page", disabled: page >= pages - 1, onclick: () => ((page += 1), draw()) }, icon("right")),
    );
  }

  return {
    element,
    rows(list) {
      rows = list;
      draw();
    },
  };
}

function compare(one, other) {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one ?? "").localeCompare(String(other ?? ""), "en", { numeric: true, sensitivity: "base" });
}
