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

// alike tells whether one node can become the other.
function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);
}

function key(node) {
  return node.nodeType === Node.ELEMENT_NODE ? (node.dataset.key ?? node.id) : "";
}

function children(to, from, quiet) {
  const kept = new Map();
  for (const child of to.children) if (key(child)) kept.set(key(child), child);
  let at = to.firstChild;
  for (const next of [...from.childNodes]) {
    let match = null;
    if (key(next)) {
      match = kept.get(key(next)) ?? null;
      if (match && !alike(match, next)) match = null;
      kept.delete(key(next)); // no two share an element
    } else if (at && alike(at, next)) {
      match = at;
    }
    if (match === null) {
      const fresh = document.importNode(next, true);
      to.insertBefore(fresh, at);
      if (!quiet && fresh.nodeName === "TR") fresh.classList.add("new");
      continue;
    }
    if (match !== at) to.insertBefore(match, at);
    else at = at.nextSibling;
    node(match, next, quiet);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
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
