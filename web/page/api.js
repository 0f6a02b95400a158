// The server's API, as far as the page needs it. Addresses are relative, so that the page works behind a path prefix.

export class Failure extends Error {
  constructor(message, status) {
    super(message);
    this.status = status; // 0: no answer at all
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
    throw new Failure(reason(body) || text.slice(0, 300) || response.statusText, response.status);
  }
  return body;
}

function exact(key, value, context) {
  if (typeof value === "number" && !Number.isSafeInteger(value) && context && /^-?\d+$/.test(context.source)) {
    return BigInt(context.source);
  }
  return value;
}

function reason(body) {
  if (body === null || typeof body !== "object") return "";
  const error = body.error ?? body.message ?? "";
  return typeof error === "object" ? String(error.message ?? "") : String(error);
}

export async function listTables() {
  const body = await getJSON("api/v1/tables");
  return Array.isArray(body) ? body : body.tables;
}

export function describeTable(name) {
  return getJSON("api/v1/tables/" + encode(name));
}

// rowsPath returns the path of the rows that view asks for: {table, order, limit, offset, filters}.
export function rowsPath(view, format) {
  const query = [];
  for (const [column, value] of view.filters) query.push(encode(column) + "=" + encode(value));
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
