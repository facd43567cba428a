// Which page is shown, by what stands behind # in the address.

import { confirm } from "./parts/dialog.js";

let leave = null;
let shown = null;

/** While `isDirty()` is true, leaving the page asks first. The page that is left forgets it. */
export function guard(isDirty) {
  leave = isDirty;
}

/** Go there without asking: everything is saved. */
export function go(hash) {
  leave = null;
  if (location.hash === hash) dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = hash;
}

/** {path: ["tcp-services", "pg"], query: URLSearchParams} */
export function place(hash = location.hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

/** What is not encoded rightly, since somebody wrote it by hand, is taken as it is. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Put it into the address without going anywhere. */
export function note(hash) {
  history.replaceState(null, "", hash);
  shown = hash;
}

export function start(show) {
  addEventListener("hashchange", async () => {
    if (leave?.() && location.hash !== shown) {
      const wanted = location.hash;
      // Without an event: the page that is shown stays as it is.
      history.replaceState(null, "", shown);
      const away = await confirm("Leave without saving?", "What you changed here is not saved and would be lost.", { verb: "Leave", danger: true });
      if (away) go(wanted);
      return;
    }
    leave = null;
    shown = location.hash;
    show(place());
  });
  addEventListener("beforeunload", (event) => {
    if (leave?.()) event.preventDefault();
  });
  shown = location.hash;
  show(place());
}
