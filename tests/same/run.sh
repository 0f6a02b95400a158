#!/usr/bin/env bash
# Runs the queries of docs/SAME.md in Spark and in Flink over a sample of logs and compares their answers with Brotally's.
#
#   tests/same/run.sh [DIR]     DIR (default a new one in /tmp) keeps the sample, the answers and what is downloaded: 600 MB
#
# Needs Java 17, Maven, Python 3.11 with venv, Go; PyPI and Maven Central. Some five minutes on two cores. Not part of make
# test, nor of CI.
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."
dir=${1:-$(mktemp -d)}
mkdir -p "$dir/classes"
dir=$(cd "$dir" && pwd)

go run ./tests/same "$dir"
go build -o "$dir/brotally" ./cmd/brotally

[ -d "$dir/venv" ] || { python3 -m venv "$dir/venv"; "$dir/venv/bin/pip" install -q pyspark==3.5.7; }
"$dir/venv/bin/python" tests/same/spark.py docs/SAME.md "$dir" 2>"$dir/spark.log" || { cat "$dir/spark.log"; exit 1; }

[ -d "$dir/jars" ] || mvn -q -B -f tests/same/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$dir/jars"
javac -cp "$dir/jars/*" -d "$dir/classes" tests/same/Flink.java
opens=(); for package in java.lang java.net java.nio java.time java.util java.util.concurrent; do opens+=(--add-opens "java.base/$package=ALL-UNNAMED"); done
java -Xmx2g "${opens[@]}" -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$dir/classes:$dir/jars/*" Flink docs/SAME.md "$dir"

python3 tests/same/compare.py docs/SAME.md "$dir" "$dir/brotally" spark flink
