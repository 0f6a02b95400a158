// merge makes a part of the page like another one, and keeps the elements that stay: so the focus, the place that was scrolled to,
// and what somebody is typing stay too, a change is a flash of one cell, and a change of rank is a row that moves. What nobody sees,
// being outside of the window, does neither: a browser has a picture of its own for each row that moves.
//
// What takes long with many rows is layout, and taking a row out to put it in elsewhere. So all places are read at once, before
// anything changes and after all has, and as few rows move as can: see rising.

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function merge(to, from, turned) {
  const rows = [...to.querySelectorAll("tr[data-key]")];
  const before = turned ? new Map() : places(rows);
  const focused = document.activeElement;
  children(to, from, turned || rows.length === 0);
  if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
  for (const cell of changed.keys()) cell.classList.remove("changed"); // before a layout, or what flashes already would not begin again
  const after = places(before.keys());
  flash(after);
  if (calm.matches) return;
  for (const [tr, place] of after) {
    const was = before.get(tr);
    const by = was.top - place.top;
    if (by === 0 || !(was.seen || place.seen)) continue;
    const above = by > 0 ? 1 : 0; // who rises passes in front of who sinks
    tr.animate(
      [{ transform: `translateY(${by}px)`, zIndex: above }, { transform: "none", zIndex: above }],
      { duration: 320, easing: "cubic-bezier(.2,.7,.2,1)" },
    );
  }
}

// places says where rows stand in their tables, and whether they can be seen there.
function places(rows) {
  const found = new Map();
  const tables = new Map(); // where each begins in the window
  for (const tr of rows) {
    const table = tr.offsetParent; // none: it is not there any more, or not shown
    if (!table) continue;
    if (!tables.has(table)) tables.set(table, table.getBoundingClientRect().top);
    const top = tr.offsetTop;
    const at = tables.get(table) + top;
    found.set(tr, { top, seen: at + tr.offsetHeight > 0 && at < innerHeight });
  }
  return found;
}

// name is what two nodes have in common of which one can become the other: an element's key where it has one, else its first class.
function name(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return node.nodeName;
  const key = node.dataset.key ?? node.id;
  return [node.nodeName, key, key ? "" : ([...node.classList].find((c) => c !== "changed" && c !== "new") ?? "")].join("\n");
}

// Text between elements that is only how the page was written.
function blank(node) {
  return node.nodeType === Node.TEXT_NODE && /^\s*$/.test(node.data);
}

function children(to, from, quiet) {
  const wanted = [...from.childNodes].filter((n) => !blank(n));
  const there = new Map(); // by name, in their order
  const stood = new Map(); // at which place
  for (const child of to.childNodes) {
    if (blank(child)) continue;
    const n = name(child);
    if (!there.has(n)) there.set(n, []);
    there.get(n).push(child);
    stood.set(child, stood.size);
  }
  const matches = wanted.map((n) => there.get(name(n))?.shift());
  for (const gone of [...there.values()].flat()) gone.remove(); // before others are put where they stood: what stays need not move
  const stays = rising(matches.filter(Boolean), (child) => stood.get(child));
  let at = next(to.firstChild);
  wanted.forEach((wants, i) => {
    const match = matches[i];
    if (!match) {
      to.insertBefore(wants, at);
      if (!quiet && wants.nodeName === "TR") wants.classList.add("new");
      return;
    }
    if (match === at || stays.has(match)) at = next(match.nextSibling);
    else to.insertBefore(match, at);
    if (quiet || !match.isEqualNode(wants)) node(match, wants, quiet);
  });
}

// rising returns as many of all as there can be whose places rise from one to the next: the longest increasing subsequence. If those
// stay where they are, the fewest others have to move.
function rising(all, place) {
  const ends = []; // of the runs of each length, the one whose end has the least place
  const before = new Map(); // in its run
  for (const one of all) {
    let low = 0;
    for (let high = ends.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (place(ends[middle]) < place(one)) low = middle + 1;
      else high = middle;
    }
    before.set(one, ends[low - 1]);
    ends[low] = one;
  }
  const stays = new Set();
  for (let one = ends.at(-1); one; one = before.get(one)) stays.add(one);
  return stays;
}

function next(node) {
  while (node && blank(node)) node = node.nextSibling;
  return node;
}

function node(to, from, quiet) {
  if (to.nodeType !== Node.ELEMENT_NODE) {
    if (to.data !== from.data) to.data = from.data;
    return;
  }
  const flashes = "flash" in to.dataset && !quiet && to.textContent !== from.textContent;
  const was = to.textContent;
  attributes(to, from, quiet);
  if (!("own" in from.dataset)) children(to, from, quiet); // else a script fills it
  if (flashes) changed.set(to.parentElement, { was, is: from.textContent });
}

// Those that the browser and its user change: the server has no say in them while the page only moves.
const own = new Set(["open", "value", "checked", "hidden"]);

// What scripts have put on an element while it was there.
const ours = new Set(["class", "data-by"]);

function attributes(to, from, quiet) {
  for (const { name, value } of from.attributes) {
    if (ours.has(name) || to.getAttribute(name) === value) continue;
    if (own.has(name) && !quiet && /^(DETAILS|INPUT|TEXTAREA)$/.test(to.nodeName)) continue;
    to.setAttribute(name, value);
  }
  for (const { name } of [...to.attributes]) {
    if (ours.has(name) || from.hasAttribute(name) || (name === "open" && to.nodeName === "DETAILS")) continue;
    to.removeAttribute(name);
  }
  const moving = quiet ? [] : ["changed", "new"].filter((c) => to.classList.contains(c));
  const classes = [from.getAttribute("class") ?? "", ...moving].filter(Boolean).join(" ");
  if (classes === "") to.removeAttribute("class");
  else if (to.getAttribute("class") !== classes) to.setAttribute("class", classes);
  if (!quiet || to === document.activeElement) return;
  if (to.nodeName === "INPUT" && to.type === "checkbox") to.checked = from.hasAttribute("checked");
  else if (to.nodeName === "INPUT") to.value = from.getAttribute("value") ?? "";
  else if (to.nodeName === "TEXTAREA") to.value = from.textContent;
}

// changed are the cells whose value has changed since the merge began.
const changed = new Map();

// What has flashed is as it was: the browser keeps no picture for it, and it does not flash again where it is moved to.
document.addEventListener("animationend", (e) => e.target.closest(".changed, .new")?.classList.remove("changed", "new"));

// flash has those flash that can be seen, going by the places of their rows; a cell that is in no row flashes anyway.
function flash(places) {
  const whole = /^[\d,]+$/;
  for (const [cell, { was, is }] of changed) {
    if (places.get(cell.closest("tr[data-key]"))?.seen === false) continue;
    cell.dataset.by = "";
    if (whole.test(was) && whole.test(is)) {
      const by = BigInt(is.replaceAll(",", "")) - BigInt(was.replaceAll(",", ""));
      if (by > 0n) cell.dataset.by = "+" + by;
    }
    cell.classList.add("changed");
  }
  changed.clear();
}
