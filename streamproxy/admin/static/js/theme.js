// Light, dark, or what the system says.

const STORE = "streamproxy.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

export const THEMES = [
  ["auto", "As the system"],
  ["light", "Light"],
  ["dark", "Dark"],
];

export function theme() {
  try {
    return localStorage.getItem(STORE) ?? "auto";
  } catch {
    return "auto";
  }
}

export function setTheme(name) {
  try {
    localStorage.setItem(STORE, name);
  } catch {
    // Then it holds for this page only.
  }
  apply(name);
}

function apply(name) {
  document.documentElement.dataset.theme = name === "auto" ? (dark.matches ? "dark" : "light") : name;
  document.dispatchEvent(new Event("themechange"));
}

dark.addEventListener("change", () => apply(theme()));
apply(theme());
