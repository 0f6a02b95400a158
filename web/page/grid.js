// Grid is the table of rows. It keeps the row elements of keys that stay, so that a change is a flash of one cell and
// a change of rank is a row that moves.

import { asNumber, integer, isNumber, show } from "./values.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Grid {
  // onSort is called with a column's name, onFilter with a column's name and a value.
  constructor(table, onSort, onFilter) {
    this.caption = table.querySelector("caption");
    this.head = table.querySelector("thead tr");
    this.body = table.querySelector("tbody");
    this.onSort = onSort;
    this.onFilter = onFilter;
    this.clear();
  }

  // turn says that the next answer is to another question: what is new in it is no news.
  turn() {
    this.turned = true;
  }

  clear() {
    this.columns = [];
    this.rows = new Map(); // key -> {tr, cells, values}
    this.head.replaceChildren();
    this.body.replaceChildren();
  }

  // update shows the rows of an answer. keys are the names of the group columns; order is "column" or "-column".
  update(columns, rows, keys, order) {
    if (JSON.stringify(columns) !== JSON.stringify(this.columns)) {
      this.clear();
      this.columns = columns;
      this.head.replaceChildren(...columns.map((c) => this.heading(c)));
    }
    this.markOrder(order);

    const sorted = columns.findIndex((c) => c.name === bare(order));
    const largest = sorted < 0 || !isNumber(columns[sorted].type) ? NaN : Math.max(...rows.map((r) => asNumber(r[sorted])).filter((x) => x > 0), 0);
    const keyAt = columns.flatMap((c, i) => (keys.includes(c.name) ? [i] : []));
    const before = this.positions();
    const fresh = this.rows.size > 0 && !this.turned;
    this.turned = false;
    const shown = new Map();
    for (const values of rows) {
      let key = JSON.stringify(keyAt.map((i) => values[i]), bigintAsText);
      while (shown.has(key)) key += "+"; // no two rows share an element, whatever the server says
      const row = this.rows.get(key) ?? this.row(key, keys, fresh);
      this.fill(row, values);
      columns.forEach((c, i) => this.bar(row.cells[i], i === sorted ? asNumber(values[i]) / largest : NaN));
      shown.set(key, row);
    }
    this.rows = shown;
    this.place([...shown.values()].map((r) => r.tr));
    this.move(before);
  }

  heading(column) {
    const th = document.createElement("th");
    th.scope = "col";
    th.className = isNumber(column.type) ? "number" : "";
    const button = document.createElement("button");
    button.type = "button";
    button.title = `${column.name}: ${column.type}. Sort by it.`;
    const name = document.createElement("span");
    name.textContent = column.name;
    const arrow = document.createElement("span");
    arrow.className = "arrow";
    arrow.setAttribute("aria-hidden", "true");
    button.append(name, arrow);
    button.addEventListener("click", () => this.onSort(column.name));
    th.append(button);
    return th;
  }

  markOrder(order) {
    this.columns.forEach((c, i) => {
      const th = this.head.children[i];
      const sorted = c.name === bare(order);
      th.classList.toggle("sorted", sorted);
      if (sorted) th.setAttribute("aria-sort", order.startsWith("-") ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    });
  }

  row(key, keys, fresh) {
    const tr = document.createElement("tr");
    const cells = this.columns.map((c, i) => {
      const td = document.createElement("td");
      td.className = isNumber(c.type) ? "number" : "";
      if (keys.includes(c.name) && !c.type.endsWith("[]")) {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "cell";
        button.addEventListener("click", () => {
          const row = this.rows.get(key);
          if (row) this.onFilter(c.name, row.values[i]);
        });
        td.append(button);
      } else {
        td.append(document.createElement("bdi"));
      }
      return td;
    });
    tr.append(...cells);
    if (fresh) tr.className = "new";
    return { tr, cells, values: [] };
  }

  fill(row, values) {
    values.forEach((value, i) => {
      if (same(row.values[i], value) && row.values.length > 0) return;
      const cell = row.cells[i].firstChild;
      const { text, exact, as } = show(value, this.columns[i].type);
      cell.textContent = text;
      cell.dataset.as = as ?? "";
      if (cell.tagName === "BUTTON") {
        cell.title = `${as === "null" ? "NULL: the records do not have it" : (exact ?? text)}\nClick: only rows with this ${this.columns[i].name}`;
      } else {
        cell.title = exact ?? "";
      }
      if (row.values.length > 0) flash(row.cells[i], increase(row.values[i], value));
    });
    row.values = values;
  }

  bar(cell, share) {
    cell.classList.toggle("bar", share >= 0);
    if (share >= 0) cell.style.setProperty("--share", share.toFixed(4));
    else cell.style.removeProperty("--share");
  }

  // place makes rows the rows of the body, in their order. A row that moves would lose the focus.
  place(rows) {
    const focused = document.activeElement;
    rows.forEach((tr, i) => {
      if (this.body.children[i] !== tr) this.body.insertBefore(tr, this.body.children[i] ?? null);
    });
    while (this.body.children.length > rows.length) this.body.lastChild.remove();
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  }

  positions() {
    if (calm.matches) return new Map();
    return new Map([...this.rows].map(([key, row]) => [key, row.tr.offsetTop]));
  }

  // move slides the rows whose place has changed from where they were.
  move(before) {
    for (const [key, row] of this.rows) {
      const by = (before.get(key) ?? row.tr.offsetTop) - row.tr.offsetTop;
      if (by !== 0) {
        const above = by > 0 ? 1 : 0; // who rises passes in front of who sinks
        row.tr.animate(
          [{ transform: `translateY(${by}px)`, zIndex: above }, { transform: "none", zIndex: above }],
          { duration: 320, easing: "cubic-bezier(.2,.7,.2,1)" },
        );
      }
    }
  }
}

function bare(order) {
  return order.startsWith("-") ? order.slice(1) : order;
}

function same(a, b) {
  return a === b || (Array.isArray(a) && JSON.stringify(a, bigintAsText) === JSON.stringify(b, bigintAsText));
}

function bigintAsText(key, value) {
  return typeof value === "bigint" ? value + "n" : value;
}

// increase returns by how much an integer grew, as "+3"; empty where that says nothing.
function increase(from, to) {
  if (typeof from !== typeof to || (typeof to !== "bigint" && !Number.isInteger(to)) || !(to > from)) return "";
  return "+" + integer(to - from);
}

function flash(cell, by) {
  cell.dataset.by = by;
  cell.classList.remove("changed");
  void cell.offsetWidth; // else the browser sees no difference and the animation does not start again
  cell.classList.add("changed");
}
