// Live keeps the main part of a page as the server has it, by server-sent events, while somebody looks.

import { enhance } from "./dress.js";
import { merge } from "./merge.js";

const patience = 2_000; // milliseconds before a server that refuses is asked again
const grace = 1_500; // a connection may be gone for so long before anything is said
const silent = 40_000; // without a word, not even a heartbeat, the connection is taken for dead
const share = 3; // times as long as it took to show a part the browser is left alone before the next: what somebody clicks comes first

// The one place where text becomes markup: it is this server's own, and escaped there.
const policy = globalThis.trustedTypes?.createPolicy("parts", { createHTML: (html) => html }) ?? { createHTML: (html) => html };

export class Live {
  // say is called with how the page is doing: "live", "wait", "lost" or "paused", and a word for it.
  constructor(main, say) {
    this.main = main;
    this.say = say;
    this.url = null;
    this.source = null;
    this.paused = false;
    this.timer = 0;
    this.missing = null; // timer of what is to be said when the connection does not come back
    this.part = null; // the newest one, when it is not shown yet
    this.due = 0; // timer of it
    this.rest = 0; // when it may be shown
    document.addEventListener("visibilitychange", () => this.connect()); // a page in the background costs nothing
  }

  start(url) {
    this.url = url;
    this.connect();
  }

  stop() {
    this.url = null;
    this.connect();
  }

  // pause stops what moves, or lets it go on, and returns which.
  pause() {
    this.paused = !this.paused;
    if (this.paused) this.say("paused", "paused");
    this.connect();
    return this.paused;
  }

  connect() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
    clearTimeout(this.due);
    this.part = null;
    if (!this.url || this.paused || document.hidden) {
      clearTimeout(this.missing);
      this.missing = null;
      return;
    }
    const source = new EventSource(this.url);
    this.source = source;
    source.addEventListener("main", (e) => {
      this.alive();
      if (this.part === null) this.due = setTimeout(() => this.move(), this.rest - performance.now());
      this.part = e.data;
    });
    source.addEventListener("state", (e) => {
      this.alive();
      const at = e.data.indexOf(" ");
      this.say(e.data.slice(0, at), e.data.slice(at + 1));
    });
    source.addEventListener("error", () => {
      this.missing ??= setTimeout(() => this.say("lost", "no answer"), grace);
      if (source.readyState === EventSource.CLOSED) this.timer = setTimeout(() => this.connect(), patience); // else it comes back by itself
    });
    source.addEventListener("open", () => this.alive());
    this.timer = setTimeout(() => this.connect(), silent);
  }

  alive() {
    clearTimeout(this.missing);
    this.missing = null;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), silent);
  }

  // move shows the part that came last.
  move() {
    const began = performance.now();
    const part = this.part;
    this.part = null;
    this.show(part, false);
    this.rest = performance.now() + share * (performance.now() - began);
  }

  // show makes the main part what html says: a whole page, or a main part alone. turned says that it is another page, in which
  // nothing is news. Of a whole page it returns how that is doing, and whether it is to stay as it is.
  show(html, turned) {
    const page = new DOMParser().parseFromString(policy.createHTML(html), "text/html");
    const next = page.getElementById("main") ?? page.body;
    enhance(next);
    merge(this.main, next, turned);
    const state = page.getElementById("state");
    if (!state) return null;
    document.title = page.title;
    return { kind: state.dataset.state, text: state.textContent, still: "still" in state.dataset };
  }
}
