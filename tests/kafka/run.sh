#!/usr/bin/env bash
# Runs the tests that need a real Kafka broker: against BROKERS=host:9092 if that is set, else against one that kafka.sh
# starts. Further arguments go to go test, such as -run TestKill -v.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
if [ -z "${BROKERS:-}" ]; then
  tests/kafka/kafka.sh up
  eval "$(tests/kafka/kafka.sh env)"
fi
export BROKERS BROTALLY_REQUIRE_KAFKA=1
echo "broker: $BROKERS"
# One package at a time: the crash tests measure nothing, but they need the machine. What needs no real broker is in make test.
packages=(./internal/kafka ./internal/registry ./views ./tests/faults ./tests/bench)
[ ! -d tests/pipeline ] || packages+=(./tests/pipeline)
go test -p 1 -count 1 -timeout 25m "$@" "${packages[@]}"
exec go test -count 1 -timeout 10m -run RealBroker "$@" ./tests
