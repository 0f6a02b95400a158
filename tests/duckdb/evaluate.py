"""Evaluates expressions in DuckDB for duckdb_test.go.

stdin: one JSON object, {"columns": [[name, type], ..], "rows": [[value, ..], ..], "expressions": [text, ..], "aggregates": [text, ..],
"lists": [text, ..]}; all but the first two may be missing. A list is what stands behind SELECT.
stdout: one JSON object, {"expressions": [[value a row], ..], "aggregates": [value, ..], "lists": [[[value, ..], ..], ..]}; instead of
the values of an expression that DuckDB refuses there is its error, a string.
"""

import json
import sys

import duckdb

CHUNK = 100  # expressions a query


def plain(value):
    """The value as JSON has it: integers of any size, doubles in full, NaN and infinities as text."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, list):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{value!r} is a {type(value)}")


def columns(db, texts, suffix):
    """The columns of SELECT texts; an expression that fails gives its error."""
    if not texts:
        return []
    try:
        rows = db.execute(f"SELECT {', '.join(texts)} FROM r {suffix}").fetchall()
        return [[plain(row[i]) for row in rows] for i in range(len(texts))]
    except Exception as e:  # one of them: find which
        if len(texts) == 1:
            return [str(e)]
        half = len(texts) // 2
        return columns(db, texts[:half], suffix) + columns(db, texts[half:], suffix)


def main():
    work = json.load(sys.stdin)
    db = duckdb.connect()
    db.execute("SET threads = 1")
    db.execute("SET enable_progress_bar = false")  # it goes to stdout where a query takes long
    db.execute("SET TimeZone = 'UTC'")
    names = ", ".join(f'"{name}" {kind}' for name, kind in work["columns"])
    db.execute(f"CREATE TABLE r (number BIGINT, {names})")
    marks = ", ".join(f"CAST(? AS {kind})" for _, kind in work["columns"])
    for number, row in enumerate(work["rows"]):
        db.execute(f"INSERT INTO r VALUES ({number}, {marks})", row)
    expressions = []
    texts = work.get("expressions", [])
    for i in range(0, len(texts), CHUNK):
        expressions += columns(db, texts[i : i + CHUNK], "ORDER BY number")
    aggregates = [c if isinstance(c, str) else c[0] for c in columns(db, work.get("aggregates", []), "")]
    lists = []
    for text in work.get("lists", []):
        lists.append([plain(list(row)) for row in db.execute(f"SELECT {text} FROM r").fetchall()])
    json.dump({"expressions": expressions, "aggregates": aggregates, "lists": lists}, sys.stdout)


main()
