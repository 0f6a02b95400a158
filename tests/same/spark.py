"""Runs Spark's side of docs/SAME.md as it stands there, as streams over files in place of Kafka: spark.py SAME.md DIR reads
DIR/dns.json and DIR/conn.json and writes DIR/spark-N.json, a JSON array a row."""
import ast, datetime, json, re, sys

from pyspark.sql import Row, SparkSession
from pyspark.sql.functions import *
from pyspark.sql.types import *

same, folder = sys.argv[1:]
text = open(same).read()
before, *questions = re.split(r"^## \d+\. ", text, flags=re.M)
block = lambda s: re.search(r"^```python spark\n(.*?)^```", s, re.M | re.S)[1]

spark = (SparkSession.builder.master("local[2]").config("spark.sql.shuffle.partitions", 2).config("spark.ui.enabled", "false")
         .config("spark.sql.session.timeZone", "UTC").getOrCreate())
spark.sparkContext.setLogLevel("ERROR")

schemas = {  # the page has "..": the columns that its questions ask for
    "dns": "ts double, uid string, `id.orig_h` string, query string, qtype_name string, rcode_name string",
    "conn": "ts double, `id.orig_h` string, `id.resp_h` string, proto string, conn_state string, duration double, orig_bytes bigint",
}
unpack = re.sub(r"^schema = .*\n", "", block(before), flags=re.M)
unpack = re.sub(r'readStream\.format\("kafka"\).*?\.load\(\)', 'readStream.format("text").load(topic)', unpack, flags=re.S)
names = globals()
for log, columns in schemas.items():
    names.update(schema=columns, topic=f"{folder}/{log}.json*")
    exec(unpack.replace("dns = ", f"{log} = "), names)
conn = conn.withColumn("ended", coalesce(col("time") + make_dt_interval(secs=col("duration").cast("decimal(18,6)")), col("time")))


def cells(value):
    """A window is two cells, its start and its end; times are in microseconds."""
    if isinstance(value, Row):
        return [c for v in value for c in cells(v)]
    if isinstance(value, datetime.datetime):
        return [(value - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)]
    return [value]


for n, question in enumerate(questions, 1):
    code = ast.parse(block(question))
    exec(compile(ast.Module(code.body[:-1], []), same, "exec"), names)
    result = eval(compile(ast.Expression(code.body[-1].value), same, "eval"), names)
    aggregates = hasattr(result, "writeStream")
    writer = result.writeStream.outputMode("complete") if aggregates else result
    writer.format("memory").queryName(f"q{n}").trigger(availableNow=True).start().awaitTermination()
    with open(f"{folder}/spark-{n}.json", "w") as out:
        for row in spark.table(f"q{n}").collect():
            print(json.dumps(cells(row)), file=out)
