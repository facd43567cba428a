// Starts the page: who looks at it, the frame around everything, and which page is in it.

import "./theme.js";
import * as auth from "./auth.js";
import { isOpen, onExpired, Refused, who } from "./api.js";
import { fill, h } from "./dom.js";
import { loginAgain, loginPage } from "./login.js";
import { monitor } from "./monitor.js";
import { start } from "./router.js";
import { Shell } from "./shell.js";
import { notice } from "./parts/notice.js";

const app = document.getElementById("app");
let shell = null;

async function begin() {
  try {
    if (!auth.areKept() && !(await isOpen())) {
      welcome();
      return;
    }
    auth.become(await who());
  } catch (error) {
    if (error instanceof Refused && error.status === 401) {
      auth.forget();
      welcome();
      return;
    }
    fill(app, h("main.login", { id: "main", tabindex: "-1" }, h("div.login-box", notice("bad", "The API does not answer.", h("p", `${error.message}`), h("button.button", { type: "button", onclick: begin }, "Try again")))));
    return;
  }
  enter();
}

function welcome() {
  fill(app, loginPage(enter));
  app.querySelector("[autofocus]")?.focus();
}

function enter() {
  onExpired(async () => {
    const again = await loginAgain();
    if (again) shell.identify();
    return again;
  });
  if (shell) {
    location.reload();
    return;
  }
  shell = new Shell(leave);
  fill(app, shell.element);
  monitor.start();
  start((place) => shell.show(place));
}

function leave() {
  auth.forget();
  location.hash = "";
  location.reload();
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main")?.focus();
});

begin();
