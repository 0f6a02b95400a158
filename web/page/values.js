// Values as text. Everything from the log was written by whoever sent the packets: it goes into the page as text nodes
// only, and what a text node could still do (turn the line around, hide itself) is written out as an escape.

const unseen = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;

const longest = 400; // characters of a value that are shown

// printable returns s with every character that does not show itself written as \u{..}.
export function printable(s) {
  const text = s.replace(unseen, (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");
  return text.length > longest ? text.slice(0, longest) + "…" : text;
}

const integers = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const doubles = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 7 });

export function integer(n) {
  return integers.format(n);
}

// isNumber tells whether values of a column's type are numbers: set to the right, with a bar when sorted by.
export function isNumber(type) {
  return ["bigint", "ubigint", "numeric", "double", "interval"].includes(type);
}

// asNumber returns a value as a float for drawing; NaN when it is none.
export function asNumber(value) {
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : NaN;
}

// show returns how a cell of the given type shows value: its text, its exact text where the first is rounded, and
// whether it is "null" or "empty", which are no text of the log.
export function show(value, type) {
  if (value === null || value === undefined) return { text: "NULL", as: "null" };
  if (value === "") return { text: "empty", as: "empty" };
  if (Array.isArray(value)) {
    if (value.length === 0) return { text: "[]", as: "empty" };
    return { text: "[" + value.map((v) => show(v, elementType(type)).text).join(", ") + "]" };
  }
  if (typeof value === "bigint") return { text: integers.format(value), exact: value.toString() };
  if (typeof value === "number") {
    if (type === "interval") return { text: duration(value), exact: value + " s" };
    if (Number.isInteger(value) && type !== "double") return { text: integers.format(value), exact: String(value) };
    return { text: doubles.format(value), exact: String(value) };
  }
  if (typeof value === "string" && type === "timestamp") {
    return { text: value.slice(0, 19).replace("T", " "), exact: value };
  }
  return { text: printable(String(value)), exact: printable(String(value)) };
}

function elementType(type) {
  return type ? type.replace(/\[\]$/, "") : type;
}

// duration writes seconds in the two largest units.
export function duration(seconds) {
  const sign = seconds < 0 ? "−" : "";
  const s = Math.abs(seconds);
  const digits = (x, unit) => sign + x.toPrecision(3).replace(/\.?0+$/, "") + " " + unit;
  if (s === 0) return "0 s";
  if (s < 1e-3) return digits(s * 1e6, "µs");
  if (s < 1) return digits(s * 1e3, "ms");
  if (s < 100) return sign + doubles.format(Math.round(s * 100) / 100) + " s";
  const two = (big, bigUnit, small, smallUnit) => `${sign}${integers.format(big)} ${bigUnit} ${small} ${smallUnit}`;
  if (s < 3600) return two(Math.floor(s / 60), "min", Math.floor(s % 60), "s");
  if (s < 86400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return two(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
}

// ago writes how long before now (both milliseconds) something was.
export function ago(then, now) {
  const s = (now - then) / 1000;
  if (s < -1) return "in " + duration(Math.round(-s));
  if (s < 10) return Math.max(s, 0).toFixed(1) + " s ago";
  if (s < 100) return Math.round(s) + " s ago";
  return duration(Math.round(s)) + " ago";
}
