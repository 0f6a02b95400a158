// enhance gives a part of a page what only a browser knows: times in the viewer's zone, buttons that need a script.

const zoned = new Intl.DateTimeFormat("sv-SE", { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function enhance(part) {
  for (const t of part.querySelectorAll("time[datetime]")) {
    const at = new Date(t.getAttribute("datetime"));
    if (Number.isNaN(at.getTime())) continue;
    t.title = t.getAttribute("datetime") + " (UTC)";
    t.textContent = zoned.format(at);
  }
  for (const b of part.querySelectorAll("[data-copy]")) b.hidden = false;
}
