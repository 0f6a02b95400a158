// The page for SQL: Ctrl-Enter asks, words are completed, and what was asked is remembered in this browser.

const most = 30; // queries that are remembered
const keywords = ["SELECT", "FROM", "WHERE", "GROUP BY", "HAVING", "ORDER BY", "LIMIT", "OFFSET", "DESC", "ASC", "AND", "OR", "NOT", "IN", "IS NULL", "BETWEEN", "LIKE", "DISTINCT", "AS", "CASE", "WHEN", "THEN", "ELSE", "END",
  "count(*)", "sum(", "min(", "max(", "avg(", "coalesce(", "date_trunc("];

const dressed = new WeakSet(); // editors that have their listeners

// query dresses the editor of a part, if it has one. turn shows another address.
export function query(main, turn) {
  const area = main.querySelector("#query");
  if (!area) return;
  remember(new URL(location.href).searchParams.get("q"));
  list(main.querySelector("#history"));
  if (dressed.has(area)) return;
  dressed.add(area);
  const menu = new Menu(area, main.querySelector("#words"));
  area.addEventListener("keydown", (e) => {
    if (menu.key(e)) {
      e.preventDefault();
    } else if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) {
      e.preventDefault();
      area.form.requestSubmit();
    }
  });
  area.addEventListener("input", () => menu.update());
  area.addEventListener("blur", () => menu.close());
}

function stored() {
  try {
    const all = JSON.parse(localStorage.getItem("queries") ?? "[]");
    return Array.isArray(all) ? all.filter((q) => typeof q === "string") : [];
  } catch (e) {
    return []; // no storage, or not ours
  }
}

function remember(q) {
  if (!q?.trim()) return;
  try {
    localStorage.setItem("queries", JSON.stringify([q, ...stored().filter((other) => other !== q)].slice(0, most)));
  } catch (e) {
    // No storage: nothing is remembered.
  }
}

function list(ul) {
  ul.replaceChildren(
    ...stored().map((q) => {
      const a = document.createElement("a");
      a.href = "/sql?q=" + encodeURIComponent(q);
      a.dataset.turn = "";
      const code = document.createElement("code");
      code.textContent = q;
      a.append(code);
      const li = document.createElement("li");
      li.append(a);
      return li;
    }),
  );
}

// Menu offers the words that go on from what stands before the cursor.
class Menu {
  constructor(area, words) {
    this.area = area;
    this.words = words;
    this.box = document.createElement("ul");
    this.box.className = "menu";
    this.box.setAttribute("role", "listbox");
    this.box.hidden = true;
    this.at = 0;
  }

  before() {
    return /[\p{L}\p{N}_."]*$/u.exec(this.area.value.slice(0, this.area.selectionStart))[0];
  }

  update() {
    if (!this.box.isConnected) this.area.after(this.box); // the page may have been merged since
    const begun = this.before();
    const all = [...[...this.words.children].map((li) => [li.textContent, li.dataset.kind]), ...keywords.map((k) => [k, ""])];
    const found = begun === "" ? [] : all.filter(([w]) => w.toLowerCase().startsWith(begun.toLowerCase()) && w !== begun).slice(0, 8);
    this.at = 0;
    this.box.replaceChildren(
      ...found.map(([word, kind], i) => {
        const li = document.createElement("li");
        li.setAttribute("role", "option");
        li.setAttribute("aria-selected", String(i === 0));
        const name = document.createElement("span");
        name.textContent = word;
        const what = document.createElement("span");
        what.className = "kind";
        what.textContent = kind;
        li.append(name, what);
        li.addEventListener("mousedown", (e) => {
          e.preventDefault();
          this.take(i);
        });
        return li;
      }),
    );
    this.box.hidden = found.length === 0;
  }

  close() {
    this.box.hidden = true;
  }

  move(by) {
    const n = this.box.children.length;
    this.at = (this.at + by + n) % n;
    [...this.box.children].forEach((li, i) => li.setAttribute("aria-selected", String(i === this.at)));
  }

  take(i) {
    const word = this.box.children[i].firstChild.textContent;
    const end = this.area.selectionStart;
    this.area.setRangeText(word, end - this.before().length, end, "end");
    this.close();
  }

  // key acts on a key while the menu is open, and tells whether it did.
  key(e) {
    if (this.box.hidden) return false;
    if (e.key === "ArrowDown") this.move(1);
    else if (e.key === "ArrowUp") this.move(-1);
    else if (e.key === "Tab" || (e.key === "Enter" && !e.ctrlKey && !e.metaKey)) this.take(this.at);
    else if (e.key === "Escape") this.close();
    else return false;
    return true;
  }
}
