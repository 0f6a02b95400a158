// What pages do in the browser beyond what they are without a script: they keep themselves up to date, turn without being loaded
// again, and remember the theme.

import { Live } from "./live.js";
import { enhance } from "./dress.js";
import { query } from "./sql.js";

const $ = (id) => document.getElementById(id);
const main = $("main");
const live = new Live(main, say);
let asking = null; // AbortController of the page that is on its way

// say shows how the page is doing.
function say(kind, text) {
  const s = $("state");
  if (s.dataset.state !== kind) s.dataset.state = kind;
  if (s.textContent !== text) s.textContent = text; // the same text again would be read aloud again
  main.classList.toggle("stale", kind === "lost");
}

// still says that the page does not change by itself, as an answer to a query does not unless it is to be kept up to date.
let still = "still" in $("state").dataset;

function follow() {
  if (still) live.stop();
  else live.start(new URL(location.href));
  $("pause").hidden = still;
}

// turn shows another address without loading the page again: what has the focus keeps it.
async function turn(href, push) {
  asking?.abort();
  asking = new AbortController();
  const mine = asking;
  live.stop();
  busy(true);
  try {
    const response = await fetch(href, { headers: { Accept: "text/html" }, signal: mine.signal, cache: "no-store" });
    const html = await response.text();
    if (mine !== asking) return;
    if (push) history.pushState(null, "", href);
    const state = live.show(html, true);
    enhance(main);
    query(main, turn);
    still = state?.still ?? false;
    if (state) say(state.kind, state.text);
  } catch (e) {
    if (mine !== asking || e.name === "AbortError") return;
    say("lost", "no answer");
  } finally {
    if (mine === asking) {
      asking = null;
      busy(false);
      follow();
    }
  }
}

// busy shows that an answer is on its way, and for how long.
let ticking = 0;
function busy(on) {
  clearInterval(ticking);
  main.setAttribute("aria-busy", String(on));
  const cancel = $("cancel");
  if (cancel) cancel.hidden = !on;
  const asked = $("asked");
  if (!asked) return;
  asked.textContent = "";
  if (!on) return;
  const since = performance.now();
  ticking = setInterval(() => (asked.textContent = ((performance.now() - since) / 1000).toFixed(1) + " s"), 100);
}

document.addEventListener("click", (e) => {
  const a = e.target.closest("a[data-turn]");
  if (a && !e.metaKey && !e.ctrlKey && !e.shiftKey && e.button === 0) {
    e.preventDefault();
    turn(a.href, true);
  } else if (e.target.closest("[data-copy]")) {
    copy(e.target.closest("[data-copy]"));
  } else if (e.target.id === "cancel") {
    asking?.abort();
    say("paused", "cancelled");
    busy(false);
    asking = null;
  }
});

document.addEventListener("submit", (e) => {
  const form = e.target.closest("form[data-turn]");
  if (!form) return;
  e.preventDefault();
  const q = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value !== "") q.append(name, value);
  const action = form.getAttribute("action") || location.pathname;
  turn(action + "?" + q, true);
});

document.addEventListener("change", (e) => {
  if (e.target.closest("tr.filters")) e.target.form.requestSubmit();
});

window.addEventListener("popstate", () => turn(location.href, false));

async function copy(button) {
  const code = button.previousElementSibling;
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch (e) {
    // Without TLS, or without leave, the browser has no clipboard for us: mark the text, and the keys do the rest.
    getSelection().selectAllChildren(code);
    button.textContent = "Press Ctrl-C";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

$("pause").addEventListener("click", () => {
  const paused = live.pause();
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
});

const themes = ["system", "light", "dark"];
function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("chosen").textContent = theme;
  $("theme").dataset.theme = theme;
}
$("theme").addEventListener("click", () => {
  const next = themes[(themes.indexOf($("theme").dataset.theme) + 1) % themes.length];
  setTheme(next);
  try {
    localStorage.setItem("theme", next);
  } catch (e) {
    // No storage: the choice lasts as long as the page.
  }
});
let chosen = "system";
try {
  chosen = localStorage.getItem("theme") ?? "system";
} catch (e) {
  // As above.
}
setTheme(themes.includes(chosen) ? chosen : "system");
$("theme").hidden = false;

enhance(main);
query(main, turn);
follow();
