#!/bin/bash
# Zeek over the packets of a made-up office: they come through a pipe, as if from a card, so that nothing needs a privilege.
# For a real card: exec zeek -C -i eth0 /etc/zeek/local.zeek (see compose/sensor.yml).
set -euo pipefail
/usr/local/bin/office-traffic --rate "${RATE:-20}" --seed "${SEED:-1}" | zeek -C -r - /etc/zeek/local.zeek
