// The server's API, as far as the page needs it. Addresses are relative, so that the page works behind a path prefix.

export class Failure extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status; // 0: no answer at all
    this.code = code ?? ""; // one word of the server's, such as not_ready
  }
}

const patience = 10_000; // milliseconds

// getJSON returns the parsed answer. Integers beyond 2^53 come as BigInt where the browser tells their digits, so that
// a sum is never shown rounded.
export async function getJSON(path) {
  let response, text;
  try {
    response = await fetch(path, {
      headers: { Accept: "application/json" },
      cache: "no-store",
      signal: AbortSignal.timeout(patience),
    });
    text = await response.text();
  } catch (e) {
    throw new Failure("no answer from the server", 0);
  }
  let body = null;
  try {
    body = JSON.parse(text, exact);
  } catch (e) {
    if (response.ok) throw new Failure("the server's answer is not JSON", response.status);
  }
  if (!response.ok) {
    const { message, hint, code } = body?.error ?? {};
    throw new Failure([message || text.slice(0, 300) || response.statusText, hint].filter(Boolean).join("; "), response.status, code);
  }
  return body;
}

function exact(key, value, context) {
  if (typeof value === "number" && !Number.isSafeInteger(value) && context && /^-?\d+$/.test(context.source)) {
    return BigInt(context.source);
  }
  return value;
}

export async function listTables() {
  return (await getJSON("api/v1/tables")).tables;
}

export function describeTable(name) {
  return getJSON("api/v1/tables/" + encode(name));
}

// Parameters that are no columns; a column of that name is asked for as col.NAME.
const reserved = ["order", "limit", "offset", "format", "min_offset", "stale"];

// filterText writes a value as the server wants it in a filter: NULL is \N, and a text that begins with a backslash gets
// one more.
export function filterText(value) {
  if (value === null || value === undefined) return "\\N";
  const text = String(value);
  return text.startsWith("\\") ? "\\" + text : text;
}

// filterValue is the way back: null, or the text.
export function filterValue(text) {
  if (text === "\\N") return null;
  return text.startsWith("\\\\") ? text.slice(1) : text;
}

// rowsPath returns the path of the rows that view asks for: {table, order, limit, offset, filters}.
export function rowsPath(view, format) {
  const query = [];
  for (const [column, text] of view.filters) {
    query.push((reserved.includes(column) ? "col." : "") + encode(column) + "=" + encode(text));
  }
  if (view.order) query.push("order=" + encode(view.order));
  query.push("limit=" + view.limit);
  if (view.offset > 0) query.push("offset=" + view.offset);
  query.push("format=" + format);
  return "api/v1/tables/" + encode(view.table) + "/rows?" + query.join("&");
}

// encode is encodeURIComponent, and the characters which that leaves though a shell would not.
function encode(s) {
  return encodeURIComponent(s).replace(/['()*!~]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());
}

// quote makes s one word of a shell.
export function quote(s) {
  return /^[\w.:/@%+=,-]+$/.test(s) ? s : "'" + s.replaceAll("'", "'\\''") + "'";
}
