#!/usr/bin/env bash
# A real schema registry for tests, Apicurio, and a Java reader's jars. Needs Java 17, and Maven for the first time.
#
#   registry.sh install   fetch both if they are not there, and print the folder that has them in app/ and serde/
#
# BROTALLY_REGISTRY (~/.cache/brotally/registry) is where everything goes.
set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
version=3.0.9

[ "${1:-}" = install ] || { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2; exit 2; }
root=${BROTALLY_REGISTRY:-$HOME/.cache/brotally/registry}
# The folder is named after what it has, so that another version is another folder.
dir=$root/$version-$(cksum <"$here/pom.xml" | cut -d' ' -f1)
mkdir -p "$root"
exec 9>"$root/lock" # whoever else installs at the same time waits, and finds it there
flock 9
if [ ! -e "$dir/complete" ]; then
  command -v mvn >/dev/null || { echo "registry.sh: no mvn in PATH: it fetches Apicurio from Maven Central (once)" >&2; exit 1; }
  echo "registry.sh: fetching Apicurio into $dir" >&2
  rm -rf "$dir"
  mvn -q -B dependency:copy -Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all" -DoutputDirectory="$dir" >&2
  mkdir -p "$dir/app"
  tar -xzf "$dir"/*.tar.gz -C "$dir/app"
  rm "$dir"/*.tar.gz
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$dir/serde" >&2
  touch "$dir/complete"
fi
echo "$dir"
