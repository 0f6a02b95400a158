#!/usr/bin/env bash
# A real Kafka broker for tests: one node, KRaft, plain text, on 127.0.0.1. Needs Java 17, and Maven for the first time.
#
#   kafka.sh up       install if necessary, start in the background, return when it answers
#   kafka.sh down     stop it; what it stored stays
#   kafka.sh wipe     stop it and delete what it stored
#   kafka.sh install  only fetch the jars and write the tools
#   kafka.sh status   running or not (exit 0 or 3)
#   kafka.sh env      for eval: BROKERS, and the tools (kafka-topics, kafka-console-consumer, ..) in PATH
#
# KAFKA_PORT (9092) is where it listens; the controller takes the next port. Brokers on several ports do not disturb each
# other. BROTALLY_KAFKA (~/.cache/brotally/kafka) is where everything goes. KAFKA_HEAP (1g) is the broker's memory.
# KAFKA_SETTINGS is lines for server.properties, which win over ours; they take effect at the next start. KAFKA_FORMAT is
# arguments for kafka-storage format, one a line, such as --add-scram and its users: for a node that has stored nothing yet.
set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
root=${BROTALLY_KAFKA:-$HOME/.cache/brotally/kafka}
port=${KAFKA_PORT:-9092}
node=$root/$port
pidfile=$node/pid
wait_seconds=60

say() { echo "kafka.sh: $*" >&2; }
die() { say "$*"; exit 1; }

# The pid of our broker; fails when it does not run. A pid that another program got since is not ours.
running() {
  local pid
  pid=$(cat "$pidfile" 2>/dev/null) && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null &&
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$node/server.properties" && echo "$pid"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

install() {
  command -v java >/dev/null || die "no java in PATH (17 or later is needed)"
  mkdir -p "$root"
  # The folder is named after the list of jars, so that another version is another folder.
  local libs
  libs=$root/libs-$(cksum <"$here/pom.xml" | cut -d' ' -f1)
  if [ ! -e "$libs/complete" ]; then
    command -v mvn >/dev/null || die "no mvn in PATH: it fetches Kafka's jars from Maven Central (once)"
    say "fetching Kafka's jars into $libs"
    rm -rf "$libs"
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libs"
    touch "$libs/complete"
  fi
  ln -sfn "$libs" "$root/libs"
  logging
  tools
}

logging() {
  cat >"$root/log4j2.properties" <<'END'
status = error
appender.out.type = Console
appender.out.name = out
appender.out.target = SYSTEM_ERR
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss.SSS} %-5p %c{1}: %m%n
rootLogger.level = ${sys:level:-warn}
rootLogger.appenderRef.out.ref = out
END
}

# One script a tool. Compiling less makes them start in half the time.
tools() {
  mkdir -p "$root/bin"
  local name class
  while read -r name class; do
    [ -n "$name" ] || continue
    cat >"$root/bin/$name.new" <<END
#!/bin/sh
exec java -Xmx\${KAFKA_TOOL_HEAP:-512m} -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$root/log4j2.properties" -cp "$root/libs/*" $class "\$@"
END
    chmod +x "$root/bin/$name.new"
    mv "$root/bin/$name.new" "$root/bin/$name"
  done <<'END'
kafka-topics org.apache.kafka.tools.TopicCommand
kafka-configs kafka.admin.ConfigCommand
kafka-console-consumer org.apache.kafka.tools.consumer.ConsoleConsumer
kafka-console-producer org.apache.kafka.tools.ConsoleProducer
kafka-consumer-groups org.apache.kafka.tools.consumer.group.ConsumerGroupCommand
kafka-get-offsets org.apache.kafka.tools.GetOffsetShell
kafka-delete-records org.apache.kafka.tools.DeleteRecordsCommand
kafka-acls org.apache.kafka.tools.AclCommand
kafka-transactions org.apache.kafka.tools.TransactionsCommand
kafka-dump-log org.apache.kafka.tools.DumpLogSegments
kafka-producer-perf-test org.apache.kafka.tools.ProducerPerformance
kafka-consumer-perf-test org.apache.kafka.tools.ConsumerPerformance
END
}

# Everything that would wait for other brokers is one, and what would make a test wait is short.
settings() {
  cat <<END
node.id=1
process.roles=broker,controller
controller.quorum.voters=1@127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
listeners=CLIENTS://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=CLIENTS://127.0.0.1:$port
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENTS
log.dirs=$node/data

default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1

num.partitions=4
auto.create.topics.enable=false
log.retention.ms=-1
log.cleaner.backoff.ms=1000
group.initial.rebalance.delay.ms=0
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
${KAFKA_SETTINGS:-}
END
}

format() {
  [ -f "$node/data/meta.properties" ] && return
  local id further=()
  [ -z "${KAFKA_FORMAT:-}" ] || mapfile -t further <<<"$KAFKA_FORMAT"
  id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | tr -d '=')
  java -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$root/log4j2.properties" -cp "$root/libs/*" \
    kafka.tools.StorageTool format --cluster-id "$id" --config "$node/server.properties" "${further[@]}" >"$node/format.log" 2>&1 ||
    { cat "$node/format.log" >&2; die "formatting $node/data failed"; }
}

up() {
  mkdir -p "$root"
  exec 9>"$root/lock" # whoever else calls up at the same time waits, and finds it running
  flock 9
  if running >/dev/null; then
    echo "127.0.0.1:$port"
    return
  fi
  answers && die "port $port is in use, and not by us: set KAFKA_PORT, or BROKERS=127.0.0.1:$port to use what is there"
  install
  mkdir -p "$node"
  settings >"$node/server.properties"
  format
  local heap=${KAFKA_HEAP:-1g} pid
  setsid java "-Xms$heap" "-Xmx$heap" -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -Dlevel=info \
    -Dlog4j2.configurationFile="$root/log4j2.properties" -cp "$root/libs/*" kafka.Kafka "$node/server.properties" \
    >"$node/broker.log" 2>&1 </dev/null 9>&- &
  pid=$!
  echo "$pid" >"$pidfile"
  local i
  for ((i = 0; i < wait_seconds * 10; i++)); do
    if grep -q 'Kafka Server started' "$node/broker.log" && answers; then
      echo "127.0.0.1:$port"
      return
    fi
    kill -0 "$pid" 2>/dev/null || { tail -n 20 "$node/broker.log" >&2; die "the broker ended; $node/broker.log has more"; }
    sleep 0.1
  done
  tail -n 20 "$node/broker.log" >&2
  die "not ready after $wait_seconds s; $node/broker.log has more"
}

down() {
  local pid i
  if pid=$(running); then
    kill "$pid"
    for ((i = 0; i < 300; i++)); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    if kill -0 "$pid" 2>/dev/null; then
      say "it does not stop: kill -9"
      kill -9 "$pid"
    fi
  fi
  rm -f "$pidfile"
}

case "${1:-}" in
up) up ;;
down) down ;;
wipe) down && rm -rf "$node" ;;
install) install ;;
status)
  if running >/dev/null; then
    echo "127.0.0.1:$port"
  else
    say "not running on port $port"
    exit 3
  fi
  ;;
env) printf 'export BROKERS=127.0.0.1:%s PATH=%q:"$PATH"\n' "$port" "$root/bin" ;;
*)
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
  exit 2
  ;;
esac
