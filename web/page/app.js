// The page: which table is shown, in what order, and how it is kept up to date.

import { describeTable, Failure, filterText, filterValue, getJSON, listTables, quote, rowsPath } from "./api.js";
import { Grid } from "./grid.js";
import { Spark } from "./spark.js";
import { ago, integer, isNumber, printable } from "./values.js";

const every = 700; // milliseconds between two looks at the rows
const everyTables = 1_500; // and at the list of tables
const slowest = 8_000; // between two looks while the server does not answer

const $ = (id) => document.getElementById(id);
const grid = new Grid($("grid"), sortBy, filterBy);
const spark = new Spark($("spark"));

const view = { table: "", order: "", limit: 25, offset: 0, filters: new Map() }; // filters are as filterText has them
let tables = []; // as the server lists them
let detail = null; // of view.table
let brokers = "";
let paused = false;
let turn = 0; // counts changes of view: an answer to an older question is dropped
let timer = 0;
let failures = 0;
let newest = NaN; // milliseconds; event time of the last answer

// ---- asking

async function look() {
  clearTimeout(timer);
  if (document.hidden) return; // visibilitychange looks again
  const mine = turn;
  try {
    if (tables.length === 0) await lookTables();
    if (mine === turn && detail === null && tables.length > 0) await lookDetail();
    const answer = mine === turn && detail !== null ? await getJSON(rowsPath(view, "json")) : null;
    if (mine === turn) {
      failures = 0;
      if (answer === null) {
        state("wait", "no tables");
        note("The server has no tables yet. They come from files of CREATE TABLE statements: brotally run TABLES.sql");
      } else {
        showRows(answer);
        note("");
        state(paused ? "paused" : "live", paused ? "paused" : "live");
      }
    }
  } catch (e) {
    if (mine === turn) failed(e);
  }
  if (mine === turn && !paused) again();
}

function again() {
  clearTimeout(timer);
  timer = setTimeout(look, failures === 0 ? every : Math.min(every * 2 ** failures, slowest));
}

function failed(e) {
  failures++;
  if (!(e instanceof Failure)) {
    console.error(e);
    state("lost", "page error");
    note("The page does not understand the server's answer: " + printable(e.message));
  } else if (e.code === "not_ready") {
    state("wait", "restoring");
    note(printable(e.message));
  } else if (e.status === 0) {
    state("lost", "no answer");
    note("The server does not answer. What you see is what it said last; the page goes on asking.");
  } else {
    state("lost", "error");
    note(printable(e.message));
    if (e.status === 404) tables = []; // the table is gone: look at the list again
  }
}

async function lookTables() {
  tables = await listTables();
  if (!tables.some((t) => t.name === view.table)) {
    const wanted = tables.find((t) => t.name === "dns_counts") ?? tables[0];
    if (wanted) choose(wanted.name);
    else detail = null;
  }
  showTables();
}

async function lookDetail() {
  const mine = turn;
  const d = await describeTable(view.table);
  if (mine !== turn) return;
  detail = d;
  if (!view.order || !columns().some((c) => c.name === view.order.replace(/^-/, ""))) view.order = usualOrder();
  showDetail();
  remember();
}

// ---- what the user does

// choose shows the table called name as it is usually shown; but if there was none before, as the address says.
function choose(name) {
  if (view.table !== "") {
    view.order = "";
    view.offset = 0;
    view.filters = new Map();
  }
  view.table = name;
  detail = null;
  spark.clear();
  grid.clear();
  newest = NaN;
  changed();
}

function sortBy(column) {
  const down = "-" + column;
  const numeric = isNumber(typeOf(column)) || typeOf(column) === "timestamp";
  if (view.order === column) view.order = down;
  else if (view.order === down) view.order = column;
  else view.order = numeric ? down : column;
  view.offset = 0;
  changed();
}

function filterBy(column, value) {
  view.filters.set(column, filterText(value));
  view.offset = 0;
  changed();
}

// changed asks at once for what view now says.
function changed() {
  turn++;
  grid.turn();
  remember();
  showTables();
  showFilters();
  if (detail) showRecipes();
  look();
}

// remember puts the view into the address, so that a link shows the same.
function remember() {
  const q = new URLSearchParams();
  q.set("table", view.table);
  if (view.order) q.set("order", view.order);
  if (view.limit !== 25) q.set("limit", view.limit);
  if (view.offset) q.set("offset", view.offset);
  for (const [column, text] of view.filters) q.append("where", column + "=" + text);
  history.replaceState(null, "", "?" + q);
}

function recall() {
  const q = new URLSearchParams(location.search);
  view.table = q.get("table") ?? "";
  view.order = q.get("order") ?? "";
  const limit = Number(q.get("limit"));
  if ([10, 25, 50, 100].includes(limit)) view.limit = limit;
  view.offset = Math.max(0, Math.floor(Number(q.get("offset"))) || 0);
  for (const w of q.getAll("where")) {
    const at = w.indexOf("=");
    if (at > 0) view.filters.set(w.slice(0, at), w.slice(at + 1));
  }
  $("limit").value = String(view.limit);
}

// ---- showing

function columns() {
  return detail?.columns ?? []; // {name, type, key, aggregate}
}

function typeOf(column) {
  return columns().find((c) => c.name === column)?.type ?? "";
}

function keys() {
  return columns().filter((c) => c.key).map((c) => c.name);
}

// usualOrder is by the column called count, or the first aggregate that is a number, largest first.
function usualOrder() {
  const numbers = columns().filter((c) => isNumber(c.type) && !c.key);
  const c = numbers.find((c) => c.name === "count") ?? numbers[0];
  if (c) return "-" + c.name;
  return columns()[0]?.name ?? "";
}

function showTables() {
  const list = $("tables").querySelector("ul");
  const names = tables.map((t) => t.name);
  if (JSON.stringify(names) !== list.dataset.names) { // else the elements stay: somebody may be clicking on one
    list.dataset.names = JSON.stringify(names);
    list.replaceChildren(...names.map(tableLink));
  }
  tables.forEach((t, i) => {
    const [link] = list.children[i].children;
    if (t.name === view.table) {
      link.setAttribute("aria-current", "page");
      $("rows").textContent = t.ready ? integer(t.groups) : "–";
    } else {
      link.removeAttribute("aria-current");
    }
    link.lastChild.textContent = t.ready ? integer(t.groups) : "…";
    link.title = t.ready ? "" : t.state;
  });
}

function tableLink(name) {
  const a = document.createElement("a");
  a.href = "?table=" + encodeURIComponent(name);
  const text = document.createElement("span");
  text.textContent = printable(name);
  const rows = document.createElement("span");
  rows.className = "rows";
  a.append(text, rows);
  a.addEventListener("click", (e) => {
    if (e.metaKey || e.ctrlKey || e.shiftKey || e.button !== 0) return;
    e.preventDefault();
    if (name !== view.table) choose(name);
  });
  const li = document.createElement("li");
  li.append(a);
  return li;
}

function showDetail() {
  $("name").textContent = printable(view.table);
  document.title = view.table + " · Brotally";
  $("feed").textContent = "from " + printable(detail.feed);
  $("sql").textContent = detail.sql;
  grid.caption.textContent = "Rows of " + view.table;
  showRecipes();
}

function showRecipes() {
  const topic = detail.topics.result;
  const url = new URL(rowsPath(view, "csv"), document.baseURI).href;
  const recipes = [
    ["Every change, as a Kafka topic", `kafka-console-consumer --bootstrap-server ${quote(brokers || "HOST:PORT")} --topic ${quote(topic)} --from-beginning --isolation-level read_committed --property print.key=true`],
    ["These rows, as CSV", `curl -s ${quote(url)}`],
  ];
  $("recipes").replaceChildren(
    ...recipes.flatMap(([what, line]) => {
      const dt = document.createElement("dt");
      dt.textContent = what;
      const dd = document.createElement("dd");
      const code = document.createElement("code");
      code.append(
        ...line.split(" ").flatMap((word, i) => {
          const span = document.createElement("span"); // a line is not broken at a word's hyphens
          span.textContent = word;
          return i === 0 ? [span] : [" ", span];
        }),
      );
      const copy = document.createElement("button");
      copy.type = "button";
      copy.className = "quiet";
      copy.textContent = "Copy";
      copy.setAttribute("aria-label", "Copy the command: " + what);
      copy.addEventListener("click", () => copyText(copy, code));
      dd.append(code, copy);
      return [dt, dd];
    }),
  );
}

async function copyText(button, code) {
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

function showFilters() {
  $("filters").replaceChildren(
    ...[...view.filters].map(([column, filter]) => {
      const value = filterValue(filter);
      const li = document.createElement("li");
      const text = document.createElement("bdi");
      text.textContent = printable(column) + (value === null ? " is NULL" : value === "" ? " is empty" : " = " + printable(value));
      const off = document.createElement("button");
      off.type = "button";
      off.textContent = "×";
      off.setAttribute("aria-label", "Remove the filter " + printable(column));
      off.addEventListener("click", () => {
        view.filters.delete(column);
        view.offset = 0;
        changed();
      });
      li.append(text, off);
      return li;
    }),
  );
}

function showRows(answer) {
  const meta = answer.meta ?? {};
  grid.update(answer.columns, answer.rows, keys(), view.order);
  showRange(answer.rows.length);

  const offsets = [];
  for (const [topic, partitions] of Object.entries(meta.as_of ?? {})) {
    for (const [partition, offset] of Object.entries(partitions)) offsets.push([topic, Number(partition), Number(offset)]);
  }
  offsets.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] - b[1]));
  showCounted(meta, offsets);
  showAsOf(offsets);
  newest = meta.event_time ? Date.parse(meta.event_time) : NaN;
  showFreshness();

  $("empty").hidden = answer.rows.length > 0;
  if (answer.rows.length === 0) {
    $("empty").textContent = view.filters.size > 0 ? "No row passes the filter." : `No rows yet. ${printable(view.table)} fills as records arrive in ${printable(detail.feed)}.`;
  }
}

// showRange shows which of the table's rows these are. How many pass a filter nobody counts.
function showRange(count) {
  const groups = tables.find((t) => t.name === view.table)?.groups;
  const total = view.filters.size > 0 ? undefined : Math.max(groups ?? 0, view.offset + count);
  const from = count === 0 ? 0 : view.offset + 1;
  $("range").textContent = `${integer(from)}–${integer(view.offset + count)}` + (total === undefined ? "" : " of " + integer(total));
  setDisabled($("prev"), view.offset === 0);
  setDisabled($("next"), count < view.limit || view.offset + count === total);
}

// showCounted shows how many records the table is made of: what the server says it counted, else how far it has read.
function showCounted(meta, offsets) {
  const counts = meta.counts ?? {};
  const counted = Number(counts.counted ?? offsets.reduce((sum, o) => sum + o[2], 0));
  $("counted").textContent = integer(counted);
  $("counted-label").textContent = counts.counted === undefined ? "records read" : "records counted";
  const parts = Object.entries(counts).filter(([name, n]) => n > 0 || name === "read" || name === "counted");
  $("progress").textContent = parts.length === 0 ? "" : "Records: " + parts.map(([name, n]) => `${name.replaceAll("_", " ")} ${integer(n)}`).join(", ") + ".";
  const rate = spark.add(performance.now(), Number(counts.read ?? counted));
  if (rate !== null) $("rate").textContent = integer(rate);
  else if (spark.rates.length === 0) $("rate").textContent = "–";
}

function showAsOf(offsets) {
  $("asof").tBodies[0].replaceChildren(
    ...offsets.map(([topic, partition, offset]) => {
      const tr = document.createElement("tr");
      for (const [text, number] of [[printable(topic)], [String(partition), true], [integer(offset), true]]) {
        const td = document.createElement("td");
        td.textContent = text;
        if (number) td.className = "number";
        tr.append(td);
      }
      return tr;
    }),
  );
}

function showFreshness() {
  const at = $("event");
  if (Number.isNaN(newest)) {
    at.textContent = "–";
    at.title = "";
    return;
  }
  const iso = new Date(newest).toISOString();
  const old = Date.now() - newest > 86_400_000;
  at.textContent = old ? iso.slice(0, 10) + " " + iso.slice(11, 19) : ago(newest, Date.now());
  at.title = iso;
}

function state(kind, text) {
  const s = $("state");
  if (s.dataset.state !== kind) s.dataset.state = kind;
  if (s.textContent !== text) s.textContent = text; // the same text again would be read aloud again
  $("main").classList.toggle("stale", kind === "lost" || kind === "wait");
}

function note(text) {
  const n = $("note");
  if (n.textContent !== text) n.textContent = text;
  n.hidden = text === "";
}

function setDisabled(button, disabled) {
  if (button.disabled !== disabled) button.disabled = disabled;
}

// ---- the frame

$("limit").addEventListener("change", (e) => {
  view.limit = Number(e.target.value);
  view.offset = 0;
  changed();
});
$("prev").addEventListener("click", () => {
  view.offset = Math.max(0, view.offset - view.limit);
  changed();
});
$("next").addEventListener("click", () => {
  view.offset += view.limit;
  changed();
});
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
  turn++;
  if (paused) {
    clearTimeout(timer);
    state("paused", "paused");
  } else {
    spark.clear();
    look();
  }
});

const themes = ["system", "light", "dark"];
function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme").textContent = "Theme: " + theme;
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

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused) look();
});
setInterval(showFreshness, 250);
setInterval(() => {
  if (!document.hidden && !paused && failures === 0) lookTables().catch(() => {}); // look says so if the server is gone
}, everyTables);

recall();
showFilters();
getJSON("page.json")
  .then((p) => (brokers = p.brokers ?? ""))
  .catch(() => {}) // only an address in a command line is missing then
  .finally(look);
