// Line icons on a grid of 16, drawn for this page.

import { s } from "./dom.js";

const PATHS = {
  overview: "M2 9.5 5 6l3 3 6-6M2 13.5h12",
  sessions: "M2 5h9m0 0L8.5 2.5M11 5 8.5 7.5M14 11H5m0 0 2.5-2.5M5 11l2.5 2.5",
  explain: "M6 6.2a2 2 0 1 1 2.7 1.9c-.5.2-.7.6-.7 1.1M8 11.6v.1M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13z",
  service: "M8 1.8 13.5 5v6L8 14.2 2.5 11V5zM2.5 5 8 8.2 13.5 5M8 8.200v6",
  route: "M4 3v3a3 3 0 0 0 3 3h5m0 0L9.5 6.500M12 9l-2.5 2.500M4 6v7",
  upstream: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.1M5 11h.1",
  layers: "M8 2 14 5 8 8 2 5zM2 8l6 3 6-3M2 11l6 3 6-3",
  certificate: "M4.5 7.500h7v6h-7zM6 7.500V5a2 2 0 1 1 4 0v2.500M8 10v1.2",
  key: "M6.2 9.800a3.2 3.2 0 1 1 .01-.01zM6.2 9.8 6.5 9.500M7.4 6.6 13 1m-2 2 2 2",
  listener: "M8 8v5.500M5.5 10.500a3.5 3.5 0 1 1 5 0M3.5 12.500a6.3 6.3 0 1 1 9 0",
  history: "M2.5 8a5.5 5.5 0 1 0 1.8-4.100L2.5 5.500M2.5 2.500v3h3M8 5v3.300l2.2 1.3",
  settings: "M2 5h7m4 0h1M2 11h1m4 0h7M11 3.200a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.600zM5 9.200a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.600z",
  about: "M8 7.200v4M8 4.700v.1M8 14.500a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13z",
  plus: "M8 3v10M3 8h10",
  trash: "M3 4.500h10M6.5 4.500v-2h3v2M4.5 4.500l.6 9h5.800l.6-9M6.7 7v4M9.3 7v4",
  copy: "M5.5 5.500h8v8h-8zM3.5 10.500h-1v-8h8v1",
  up: "M8 13V3.500M4 7.200l4-4 4 4",
  down: "M8 3v9.500M4 8.800l4 4 4-4",
  left: "M10 3 5 8l5 5",
  right: "M6 3l5 5-5 5",
  close: "M3.5 3.500l9 9M12.5 3.500l-9 9",
  check: "M3 8.5 6.5 12 13 4.5",
  warn: "M8 2 14.5 13.500h-13zM8 6.500v3.200M8 11.500v.1",
  stop: "M8 14.500a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM5.5 5.500l5 5M10.5 5.500l-5 5",
  lock: "M4 7.500h8v6H4zM5.7 7.500V5.200a2.3 2.3 0 1 1 4.6 0v2.3",
  unlock: "M4 7.500h8v6H4zM5.7 7.500V4.700a2.3 2.3 0 0 1 4.5-.7",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13.5 9.500A6 6 0 0 1 6.5 2.500a6 6 0 1 0 7 7z",
  auto: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
  menu: "M2.5 4.500h11M2.5 8h11M2.5 11.500h11",
  out: "M6.5 2.500h-4v11h4M6.5 8H14m0 0-3-3m3 3-3 3",
  refresh: "M13.5 8a5.5 5.5 0 1 1-1.7-4l1.7 1.600M13.5 2.500v3.100h-3.1",
  download: "M8 2v8m0 0L5 7m3 3 3-3M2.5 13.500h11",
  upload: "M8 10V2m0 0L5 5m3-3 3 3M2.5 13.500h11",
  pause: "M5.5 3v10M10.5 3v10",
  play: "M4.5 2.800v10.400L13 8z",
  pencil: "M2.5 13.500l.6-2.8 8-8 2.2 2.2-8 8z",
  undo: "M5.5 3 2.5 6l3 3M2.5 6h7a4 4 0 0 1 0 8H6",
  dot: "M8 6.500a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3z",
};

/** An icon; it says nothing to those who cannot see it. */
export function icon(name) {
  return s("svg.icon", { viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" }, s("path", { d: PATHS[name] }));
}

/** The mark: two rivers and one weir. */
export function mark() {
  return s(
    "svg.mark",
    { viewBox: "0 0 32 32", "aria-hidden": "true", focusable: "false" },
    s("path", { d: "M4 8c7 0 7 8 13 8h11" }),
    s("path.faint", { d: "M4 16h24" }),
    s("path.mid", { d: "M4 24c7 0 7-8 13-8" }),
  );
}
