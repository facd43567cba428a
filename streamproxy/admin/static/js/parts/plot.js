// Live plots over the last minutes, in the colours of the theme.

import uPlot from "../../vendor/uplot/uPlot.esm.js";
import { h, say } from "../dom.js";
import { WINDOW } from "../monitor.js";

const HEIGHT = 150;

/**
 * `series`: [{label, colour (a custom property), show(value)}]; `axis(value)` words the ticks. `stacked`: bars upon each
 * other. Answers {element, data(times, [values of each series]), destroy}.
 */
export function livePlot({ title, hint, series, axis, stacked = false, smallest = 1 }) {
  const now = series.map(() => h("b.num", "–"));
  const legend = h("ul.legend", series.map((each, index) => h("li", h("span.swatch", { class: each.swatch, "aria-hidden": "true" }), `${each.label} `, now[index])));
  const box = h("div.plot-box", { role: "img", "aria-label": title });
  const element = h("section.panel.plot", h("header.panel-head", h("h2", title), legend), box, hint ? h("p.plot-hint", hint) : null);
  let plot = null;
  let last = [[], ...series.map(() => [])];
  let raw = last;

  function draw() {
    plot?.destroy();
    const font = `11px ${getComputedStyle(box).fontFamily}`;
    const colour = (name) => resolved(box, name);
    const grid = { stroke: colour("--line"), width: 1 };
    const width = room();
    plot = new uPlot(
      {
        width,
        height: HEIGHT,
        padding: [8, 8, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
        scales: { x: { time: true, range: () => range() }, y: { range: (_, low, high) => [0, Math.max(smallest, (high ?? 0) * 1.15)] } },
        axes: [
          { stroke: colour("--text-2"), font, grid: { show: false }, ticks: { show: false }, size: 24, space: 56, incrs: [60, 120, 300], values: (_, ticks) => ticks.map(minutes) },
          { stroke: colour("--text-2"), font, grid, ticks: { show: false }, size: 62, space: 34, values: (_, ticks) => ticks.map((tick) => (tick < 0 ? "" : axis(tick))) },
        ],
        series: [
          {},
          ...series.map((each) => ({
            label: each.label,
            stroke: colour(each.colour),
            width: stacked ? 0 : 1.6,
            fill: stacked ? colour(each.colour) : each.area ? colour(each.area) : undefined,
            points: { show: false },
            paths: stacked ? uPlot.paths.bars({ size: [0.8, 14], align: 1 }) : uPlot.paths.linear(),
          })),
        ],
        hooks: { setCursor: [(self) => read(self.cursor.idx)] },
      },
      last,
      box,
    );
  }

  function room() {
    const { paddingLeft, paddingRight } = getComputedStyle(box);
    return Math.max(120, box.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight));
  }

  function range() {
    const end = Date.now() / 1000;
    return [end - WINDOW, end];
  }

  function read(index) {
    const at = index ?? raw[0].length - 1;
    series.forEach((each, number) => {
      const value = raw[number + 1][at];
      say(now[number], value === undefined || value === null ? "–" : each.show(value));
    });
  }

  const resized = new ResizeObserver(() => plot?.setSize({ width: room(), height: HEIGHT }));
  const themed = () => draw();
  requestAnimationFrame(() => {
    if (!box.isConnected) return;
    draw();
    resized.observe(box);
  });
  document.addEventListener("themechange", themed);

  return {
    element,
    data(times, values) {
      raw = [times, ...values];
      last = stacked ? [times, ...piled(values)] : raw;
      plot?.setData(last);
      read(plot?.cursor.idx);
      box.setAttribute("aria-label", `${title}: ${series.map((each, number) => `${each.label} ${now[number].textContent}`).join(", ")}`);
    },
    destroy() {
      resized.disconnect();
      document.removeEventListener("themechange", themed);
      plot?.destroy();
      plot = null;
    },
  };
}

/** A custom property as a colour that a canvas knows. */
function resolved(place, name) {
  const probe = h("span");
  probe.style.color = `var(${name})`;
  place.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Each series upon those after it, so that drawing them in order leaves the pile. */
function piled(values) {
  const sums = values[0].map(() => 0);
  const result = [];
  for (const series of [...values].reverse()) {
    series.forEach((value, index) => (sums[index] += value ?? 0));
    result.unshift([...sums]);
  }
  return result;
}

function minutes(tick) {
  const date = new Date(tick * 1000);
  const two = (number) => String(number).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}`;
}
