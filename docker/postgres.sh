#!/usr/bin/env bash
# Builds the image of PostgreSQL's workers, db-worker-postgres, from the packages of this host, where
# it is missing or the packages have changed: no registry is needed. It holds PostgreSQL with its
# extensions and what these are linked to: no shell, no other program, no user but the workers'.
#
#   docker/postgres.sh
#
# To use another image instead, set DBFORGE_POSTGRES_IMAGE (postgres:17-alpine, for example).
set -euo pipefail

IMAGE=db-worker-postgres
# Counts the ways in which the image has been made: raise it with every change below.
GENERATION=1
# Where the forge looks for a new cluster in an image: its programs would need a shell to make one.
CLUSTER=/usr/share/dbforge/postgres
# What runs and asks a server, and what brings data to another version.
PROGRAMS="postgres initdb pg_controldata pg_isready pg_dump pg_restore"

main() {
  bin=$(newest_bin) ||
    fail "PostgreSQL is not installed on this host" "docker/setup.sh postgres (or set DBFORGE_POSTGRES_IMAGE)"
  # "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
  version=$("$bin/postgres" --version | sed 's/.*(PostgreSQL) //')
  number=${version%% *}
  made_of="$GENERATION $version"
  if [[ $(docker image inspect --format '{{index .Config.Labels "dbforge.made-of"}}' "$IMAGE" 2>/dev/null) == "$made_of" ]]; then
    say "$IMAGE is PostgreSQL $number already"
    return
  fi
  say "building $IMAGE around PostgreSQL $version"
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  chmod 755 "$scratch"
  root=$scratch/root
  mkdir "$root"
  programs
  data
  libraries
  users
  cluster
  # `import` and not `build`: the image is one layer, and no builder is needed.
  tar -C "$root" --owner=0 --group=0 -c . |
    docker import \
      --change "ENV PATH=$bin PG_VERSION=$number" \
      --change "LABEL dbforge.made-of=\"$made_of\"" \
      --change 'USER 65532:65532' - "$IMAGE" >/dev/null
  say "$IMAGE is built"
}

newest_bin() {
  local bin
  for bin in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -rn); do
    if [[ -x $bin/postgres && -x $bin/initdb ]]; then
      echo "$bin"
      return
    fi
  done
  return 1
}

copy() {
  mkdir -p "$root$(dirname "$1")"
  cp -L --preserve=mode,timestamps "$1" "$root$1"
}

programs() {
  local program module
  for program in $PROGRAMS; do
    copy "$bin/$program"
  done
  # The compiler of queries is off, and brings all of LLVM.
  for module in "${bin%/bin}"/lib/*.so; do
    [[ $module == *llvmjit.so ]] || copy "$module"
  done
}

data() {
  local share
  share=$("$bin/pg_config" --sharedir 2>/dev/null || echo "/usr/share/postgresql/$(basename "$(dirname "$bin")")")
  mkdir -p "$root$share"
  cp -RL --preserve=mode,timestamps "$share/." "$root$share"
  mkdir -p "$root/usr/share/zoneinfo" "$root/usr/lib/locale"
  cp -R --preserve=mode,timestamps,links /usr/share/zoneinfo/. "$root/usr/share/zoneinfo"
  rm -rf "$root/usr/share/zoneinfo/right" "$root/usr/share/zoneinfo/posix"
  cp -R --preserve=mode,timestamps /usr/lib/locale/C.utf8 "$root/usr/lib/locale"
}

# Everything that is linked to, with what that is linked to.
libraries() {
  local library
  find "$root" -type f \( -perm -u+x -o -name '*.so*' \) -print0 |
    xargs -0 -n1 sh -c 'ldd "$1" 2>/dev/null || true' sh |
    awk '/=> \//{print $3} /ld-linux/{print $1}' | sort -u |
    while read -r library; do copy "$library"; done
}

users() {
  mkdir -p "$root/etc" "$root/tmp" "$root/data/database"
  printf 'root:x:0:0::/:/\npostgres:x:65532:65532::/:/\n' >"$root/etc/passwd"
  printf 'root:x:0:\npostgres:x:65532:\n' >"$root/etc/group"
}

# A new cluster without secrets, as files/template.rs in src/engine/postgres makes one; the forge
# copies it, and gives the copy its roles.
cluster() {
  local made="$scratch/made" as=()
  mkdir "$made"
  if [[ $(id -u) == 0 ]]; then
    # PostgreSQL's programs refuse to run as root.
    local user=nobody
    id postgres >/dev/null 2>&1 && user=postgres
    chown "$user" "$made"
    as=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups)
  fi
  "${as[@]}" env -i TZ=UTC LC_ALL=C.UTF-8 "$bin/initdb" -D "$made/pgdata" -U dbforge \
    --auth=reject --encoding=UTF8 --locale=C.UTF-8 --locale-provider=icu --icu-locale=und \
    --data-checksums --wal-segsize=4 --no-instructions --no-sync >"$scratch/initdb.log" 2>&1 ||
    fail "initdb failed: $(tail -n 1 "$scratch/initdb.log")" "$bin/initdb --version"
  mkdir -p "$root$CLUSTER"
  cp -R "$made/pgdata/." "$root$CLUSTER"
  # Its secrets come later, and another user copies it.
  chmod -R a+rX "$root$CLUSTER"
}

say() { echo "images: $*"; }

fail() {
  echo "images: $1" >&2
  echo "images: try: $2" >&2
  exit 1
}

main
