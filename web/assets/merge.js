// merge makes a part of the page like another one, and keeps the elements that stay: so the focus, the place that was scrolled to,
// and what somebody is typing stay too, a change is a flash of one cell, and a change of rank is a row that moves.

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function merge(to, from, turned) {
  const rows = [...to.querySelectorAll("tr[data-key]")];
  const before = turned || calm.matches ? new Map() : new Map(rows.map((tr) => [tr, tr.offsetTop]));
  const focused = document.activeElement;
  children(to, from, turned || rows.length === 0);
  if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
  for (const [tr, top] of before) {
    const by = top - tr.offsetTop;
    if (!tr.isConnected || by === 0) continue;
    const above = by > 0 ? 1 : 0; // who rises passes in front of who sinks
    tr.animate(
      [{ transform: `translateY(${by}px)`, zIndex: above }, { transform: "none", zIndex: above }],
      { duration: 320, easing: "cubic-bezier(.2,.7,.2,1)" },
    );
  }
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
  for (const child of to.childNodes) {
    if (blank(child)) continue;
    const n = name(child);
    if (!there.has(n)) there.set(n, []);
    there.get(n).push(child);
  }
  const matches = wanted.map((n) => there.get(name(n))?.shift());
  for (const gone of [...there.values()].flat()) gone.remove(); // before others are put where they stood: what stays need not move
  let at = next(to.firstChild);
  wanted.forEach((wants, i) => {
    const match = matches[i];
    if (!match) {
      const fresh = document.importNode(wants, true);
      to.insertBefore(fresh, at);
      if (!quiet && fresh.nodeName === "TR") fresh.classList.add("new");
      return;
    }
    if (match === at) at = next(at.nextSibling);
    else to.insertBefore(match, at);
    node(match, wants, quiet);
  });
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
  if (flashes) flash(to.parentElement, was, from.textContent);
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

function flash(cell, was, is) {
  const whole = /^[\d,]+$/;
  cell.dataset.by = "";
  if (whole.test(was) && whole.test(is)) {
    const by = BigInt(is.replaceAll(",", "")) - BigInt(was.replaceAll(",", ""));
    if (by > 0n) cell.dataset.by = "+" + by;
  }
  cell.classList.remove("changed");
  void cell.offsetWidth; // else the browser sees no difference and the animation does not start again
  cell.classList.add("changed");
}
