"""Compares the answers to docs/SAME.md: compare.py SAME.md DIR BROTALLY SYSTEM.. asks Brotally over DIR/dns.json and DIR/conn.json and holds
DIR/SYSTEM-N.json against what it says: the same rows, numbers to 1e-9. Where answers differ on purpose, the page says how."""
import collections, datetime, json, math, re, subprocess, sys

same, folder, brotally, *systems = sys.argv[1:]
questions = re.split(r"^## \d+\. ", open(same).read(), flags=re.M)[1:]
GAP = 300_000_000


def ask(question):
    sql = re.search(r"^```sql brotally\n(.*?)^```", question, re.M | re.S)[1]
    out = subprocess.run([brotally, "try", "--quiet", "-o", "ndjson", "-e", sql, f"{folder}/dns.json", f"{folder}/conn.json"],
                         check=True, capture_output=True, text=True).stdout
    return [[micros(v) for v in json.loads(line, parse_float=float).values()] for line in out.splitlines()]


def micros(v):
    if isinstance(v, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", v):
        return (datetime.datetime.fromisoformat(v[:-1]) - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)
    return int(v) if isinstance(v, str) and re.fullmatch(r"-?\d+", v) else v  # whole numbers of 128 bits


def theirs(system, n):
    rows = [json.loads(line) for line in open(f"{folder}/{system}-{n}.json")]
    if system == "spark":
        if n == 6:
            rows = [[start, name, count] for start, _, name, count in rows]
        if n == 10:
            rows = [[json.loads(row).get(c) for c in ("ts", "uid", "id.orig_h", "query", "rcode_name")] for row, in rows]
    if n == 8:  # their window ends a gap after the last record
        rows = [[host, start, end - GAP, count] for start, end, host, count in rows]
    if n == 10:
        rows = [[round(1e6 * ts), *rest] for ts, *rest in rows]
    return rows


def near(a, b, system):
    if a is None or b is None or isinstance(a, str) or isinstance(b, str):
        return a == b
    if system == "flink" and a > 1e15:  # its times have milliseconds
        return abs(a - b) < 2000
    return math.isclose(a, b, rel_tol=1e-9)


def differing_tops(system, ours, rows):
    """Of equally frequent names any will do. Up to 200 names of a host top_k is exact, with more it may take a name for up to
    one record in 201 less frequent than it is."""
    asked = collections.defaultdict(collections.Counter)
    for line in open(f"{folder}/dns.json"):
        record = json.loads(line)
        if record.get("query") is not None:
            asked[record.get("id.orig_h")][record["query"]] += 1
    counted = collections.defaultdict(list)
    for host, name, count, *_ in rows:
        if asked[host][name] != count:
            return f"{host}, {name}: {count} times, want {asked[host][name]}"
        counted[host].append(count)
    for host, names in ours:
        best = [count for _, count in asked[host].most_common(10)]
        if sorted(counted[host], reverse=True)[:10] != best:
            return f"{host}: {counted[host]}, want {best}"
        missed = asked[host].total() // 201 if len(asked[host]) > 200 else 0
        mine = sorted((asked[host][name] for name in names or []), reverse=True)
        padded = mine + [0] * (len(best) - len(mine))  # what is no more frequent than the error is left out
        if any(m < b - missed for m, b in zip(padded, best, strict=True)):
            return f"{host}: ours are {mine}, want {best}"
    return None


def differing(system, n, ours, rows):
    """Returns the first difference."""
    if n == 4:  # exact, or an estimate whose standard error is 5 %
        want, within = {host: names for host, names, _ in ours}, 0.2 if system == "spark" else 0
        if len(rows) != len(want):
            return f"{len(rows)} hosts, want {len(want)}"
        return next((f"{host}: {names}, want {want[host]}" for host, names in rows if abs(names - want[host]) > within * want[host]), None)
    if n == 5:
        return differing_tops(system, ours, rows)
    def key(row):
        if n == 8:  # the start's milliseconds are not the same everywhere
            row = row[0], row[1] // 1_000_000, row[3]
        return [(v is None, str(v)) for v in row if not isinstance(v, float)]

    ours, rows = sorted(ours, key=key), sorted(rows, key=key)
    if len(ours) != len(rows):
        return f"{len(rows)} rows, want {len(ours)}"
    return next((f"{b}, want {a}" for a, b in zip(ours, rows) if not all(near(x, y, system) for x, y in zip(a, b, strict=True))), None)


failed = False
for n, question in enumerate(questions, 1):
    ours = ask(question)
    if not ours:
        sys.exit(f"question {n} has no answer in this sample")
    for system in systems:
        difference = differing(system, n, ours, theirs(system, n))
        print(f"{n:2} {system:6} {len(ours):5} rows", difference or "the same", flush=True)
        failed |= difference is not None
sys.exit(failed)
