// Spark draws how many records a second came in over the last minute.
const span = 60_000; // milliseconds
const smooth = 3_000; // over which one rate is taken

export class Spark {
  constructor(svg) {
    this.line = svg.querySelector(".line");
    this.area = svg.querySelector(".area");
    this.clear();
  }

  clear() {
    this.totals = []; // {at, total}, oldest first
    this.rates = []; // {at, rate}
    this.draw();
  }

  // add takes the total at a time in milliseconds and returns the rate a second, or null while it is not known.
  add(at, total) {
    const last = this.totals.at(-1);
    if (last && total < last.total) this.clear(); // the table began anew
    this.totals.push({ at, total });
    while (this.totals.length > 2 && at - this.totals[1].at > smooth) this.totals.shift();
    const first = this.totals[0];
    if (at - first.at < 500) return null;
    const rate = ((total - first.total) * 1000) / (at - first.at);
    this.rates.push({ at, rate });
    while (at - this.rates[0].at > span) this.rates.shift();
    this.draw();
    return rate;
  }

  draw() {
    if (this.rates.length < 2) {
      this.line.setAttribute("d", "");
      this.area.setAttribute("d", "");
      return;
    }
    const now = this.rates.at(-1).at;
    const top = Math.max(1, ...this.rates.map((r) => r.rate)) * 1.1;
    const points = this.rates.map((r) => {
      const x = 120 - (120 * (now - r.at)) / span;
      return x.toFixed(1) + " " + (27 - (26 * r.rate) / top).toFixed(1);
    });
    const from = points[0].split(" ")[0];
    this.line.setAttribute("d", "M" + points.join("L"));
    this.area.setAttribute("d", `M${from} 28L${points.join("L")}L120 28Z`);
  }
}
