#!/usr/bin/env bash
# Builds the images of gateway and worker around one program, and that of PostgreSQL's workers.
#
#   docker/images.sh release PROGRAM    around a program built on this host: db-gateway, db-worker-base
#   docker/images.sh debug PROGRAM      the same for the tests: db-gateway:test, db-worker-base:test
#   docker/images.sh source             compiles in a container; for a host without Rust
set -euo pipefail
cd "$(dirname "$0")/.."

case "$#:${1:-}" in
  2:release | 1:source) tag="latest" ;;
  2:debug) tag="test" ;;
  *)
    sed -n '4,6s/^# *//p' "$0" >&2
    exit 2
    ;;
esac

if [[ $1 == source ]]; then
  echo "images: compiling in a container; this takes minutes"
  export BINARY=source
else
  export BINARY=prebuilt PROFILE=$1
  mkdir -p "target/image/$PROFILE"
  # A debug build is five times as large with its line tables, and nothing in an image reads them.
  # Written aside and renamed, so that a build that runs beside this one never copies half a program.
  strip --strip-debug -o "target/image/$PROFILE/dbforge.$$" "$2"
  mv "target/image/$PROFILE/dbforge.$$" "target/image/$PROFILE/dbforge"
fi

export DBFORGE_GATEWAY_IMAGE="db-gateway:$tag" DBFORGE_WORKER_IMAGE="db-worker-base:$tag"
# Compose would rather build through the buildx plugin, builds as well without, and says so each time.
docker compose -f docker/images.yaml --env-file /dev/null build --quiet 2> >(grep -v "buildx isn't installed" >&2)
# Around what this host has; where it has none, the engine is listed as not available.
if ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then
  docker/postgres.sh
else
  echo "images: PostgreSQL is not installed here, so db-worker-postgres is not built (docker/setup.sh postgres, or set DBFORGE_POSTGRES_IMAGE)"
fi

echo "images: $DBFORGE_GATEWAY_IMAGE and $DBFORGE_WORKER_IMAGE are built"
