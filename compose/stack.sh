#!/usr/bin/env bash
# Runs the stack of compose.yaml for `make up` and its companions. Settings: .env.example.
#
#   compose/stack.sh up|down|status|logs|clean
set -euo pipefail
cd "$(dirname "$0")/.."
. compose/env.sh

# From nothing to an answer takes about 5 s here; an old log is folded first, a slow disk takes longer.
READY_SECONDS=90
# A gateway that has come up this often will not come up: it says why in its log.
RESTARTS=3
# A reader of one answer from this very machine.
PROBE_SECONDS=3

domain="${DBFORGE_DOMAIN:-db.localhost}"
bind="${DBFORGE_HTTP_BIND:-127.0.0.1}"
data_dir=$(realpath -m "${DBFORGE_HOST_DATA_DIR:-${DBFORGE_DATA_DIR:-db-data}}")
export COMPOSE_FILE="${COMPOSE_FILE:-compose/compose.yaml}"
if [[ $COMPOSE_FILE == *compose.tls.yaml* ]]; then
  scheme=https port="${DBFORGE_HTTPS_PORT:-443}" usual_port=443
else
  scheme=http port="${DBFORGE_HTTP_PORT:-80}" usual_port=80
fi
url="$scheme://$domain"
[[ $port == "$usual_port" ]] || url+=":$port"

main() {
  case "${1:-}" in
    up) up ;;
    down) down ;;
    status) status ;;
    logs) engine_answers_or_fail && compose logs --follow --tail 100 ;;
    clean) clean ;;
    *) fail "unknown command" "compose/stack.sh up|down|status|logs|clean" ;;
  esac
}

up() {
  engine_answers_or_fail
  command -v curl >/dev/null || fail "curl is missing" "apt-get install curl"
  images_built_or_fail
  if [[ -z $(compose ps --quiet --status running db-gateway) ]]; then
    no_gateway_on_folder_or_fail
    port_free_or_fail
  fi
  own_data_folder
  settings_for_gateway
  is_first_start=true
  [[ ! -e $data_dir/.forge/root-token ]] || is_first_start=false
  compose up --detach --remove-orphans --quiet-pull
  wait_until_ready
  greet
}

down() {
  if ! engine_answers; then
    say "Docker is not running, so the stack is not running either"
    return
  fi
  compose down --remove-orphans
  # A worker holds no data and the gateway brings back what is missing, so nothing is left to run
  # for a gateway that is not there.
  remove_workers
}

status() {
  engine_answers_or_fail
  [[ -n $(compose ps --all --quiet) ]] || fail "the stack is not running" "make up"
  compose ps --all
  local instance
  if instance=$(instance_id); then
    echo
    docker ps --all --filter "label=dbforge.instance=$instance" \
      --format 'table {{.Names}}\t{{.Image}}\t{{.Status}}'
  fi
  echo
  [[ -n $(compose ps --quiet --status running db-gateway) ]] || fail "the gateway is not running" "make up"
  probe --include || fail "$url/readyz is not 200" "make logs"
}

# --- clean --------------------------------------------------------------------------------------

clean() {
  if [[ ${FORCE:-} != 1 ]]; then
    echo "This removes the containers and networks of the stack \"$(project)\", the workers of this forge,"
    echo "and every database, backup and event in $data_dir. It cannot be undone."
    [[ -t 0 ]] || fail "cannot ask: no terminal" "make clean FORCE=1"
    read -r -p "Type yes to go on: " answer
    [[ $answer == yes ]] || fail "nothing was removed" "make down (it keeps the data)"
  fi
  down
  no_gateway_on_folder_or_fail
  remove_data
  say "kept: the images db-gateway, db-worker-base and traefik (docker image rm), Docker itself, .env, and builds (cargo clean)"
}

# Takes what the forge made, by name, and the folder only when it is empty then: a data folder that
# was set to the wrong place costs nobody their files.
remove_data() {
  [[ -e $data_dir ]] || return 0
  local part
  # The instance id is in .forge and finds the workers, so .forge goes last.
  for part in databases backups trash uploads exports .forge; do
    rm -rf "${data_dir:?}/$part" ||
      fail "some of $data_dir/$part belongs to another user" "sudo make clean FORCE=1"
  done
  rmdir "$data_dir" 2>/dev/null || say "$data_dir contains other files; they are kept"
}

# By the instance's own label, one by one. Never prune: it takes what others have stopped.
remove_workers() {
  local instance workers
  instance=$(instance_id) || return 0
  mapfile -t workers < <(docker ps --all --quiet --filter "label=dbforge.instance=$instance")
  [[ ${#workers[@]} == 0 ]] && return
  say "removing ${#workers[@]} workers"
  docker rm --force "${workers[@]}" >/dev/null
}

# A filter by an empty label would find the workers of every forge: only a UUID will do.
instance_id() {
  [[ -r $data_dir/.forge/instance ]] || return 1
  local id
  id=$(tr -d '[:space:]' <"$data_dir/.forge/instance")
  [[ $id =~ ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$ ]] && echo "$id"
}

# --- before the start ---------------------------------------------------------------------------

# The gateway runs as the user who calls, and never as root: root gives its folder to a user of the
# images instead. Workers run as the gateway's user.
own_data_folder() {
  mkdir -p "$data_dir"
  if [[ $(id -u) == 0 ]]; then
    chown -R "$DBFORGE_UID:$DBFORGE_GID" "$data_dir"
  elif [[ $(stat -c %u "$data_dir") != "$DBFORGE_UID" ]]; then
    fail "$data_dir belongs to user $(stat -c %U "$data_dir")" "sudo chown -R $(id -u):$(id -g) $data_dir"
  fi
}

# compose.yaml hands the gateway the settings of a file: this one says what holds here, .env and over
# it the environment. Left out are its own name, which differs each time and would restart the gateway,
# and what is meant for a client.
settings_for_gateway() {
  settings=$(mktemp)
  trap 'rm -f "$settings"' EXIT
  env | grep -vE '^DBFORGE_(ENV_FILE|URL|TOKEN)=' | sed -n "s/^\(DBFORGE_[A-Z0-9_]*\)=\(.*\)$/\1='\2'/p" | sort >"$settings"
  export DBFORGE_ENV_FILE="$settings"
}

no_gateway_on_folder_or_fail() {
  local lock="$data_dir/.forge/lock"
  [[ ! -r $lock ]] || flock --nonblock "$lock" true ||
    fail "a gateway is running on $data_dir" "stop it first (Ctrl-C where \`make run\` runs)"
}

images_built_or_fail() {
  local image
  for image in "${DBFORGE_GATEWAY_IMAGE:-db-gateway}" "${DBFORGE_WORKER_IMAGE:-db-worker-base}"; do
    docker image inspect "$image" >/dev/null 2>&1 || fail "the image $image does not exist" "make images"
  done
}

port_free_or_fail() {
  ! (exec 3<>"/dev/tcp/$(probe_address)/$port") 2>/dev/null ||
    fail "port $port on $bind is taken by another program" \
      "another port in .env, e.g. DBFORGE_${scheme^^}_PORT=8081; to see the program: ss -ltnp 'sport = :$port'"
}

# --- after the start ----------------------------------------------------------------------------

# Through Traefik, as a client comes: the gateway alone may answer long before it is routed to.
wait_until_ready() {
  local deadline=$((SECONDS + READY_SECONDS)) gateway
  gateway=$(compose ps --all --quiet db-gateway)
  until probe --output /dev/null; do
    if ((SECONDS > deadline)) || (($(docker inspect --format '{{.RestartCount}}' "$gateway") >= RESTARTS)); then
      compose ps --all >&2
      compose logs --tail 30 >&2
      fail "the stack is not ready at $url/readyz" "read the last lines above; make logs"
    fi
    sleep 0.2
  done
}

# Asks /readyz of this stack, whatever the name service says about its domain. The certificate is not
# looked at: it is our own port on our own machine.
probe() {
  curl --silent --fail --insecure --noproxy '*' --max-time "$PROBE_SECONDS" \
    --resolve "$domain:$port:$(probe_address)" "$@" "$scheme://$domain:$port/readyz"
}

probe_address() {
  if [[ $bind == 0.0.0.0 ]]; then echo 127.0.0.1; else echo "$bind"; fi
}

greet() {
  local token_file="$data_dir/.forge/root-token" token
  echo
  echo "Praetorian DB-Forge is running at $url"
  echo "  API documentation  $url/docs"
  echo "  data               $data_dir"
  if [[ -n ${DBFORGE_ROOT_TOKEN:-} ]]; then
    echo "  root token         as set in DBFORGE_ROOT_TOKEN"
    token='$DBFORGE_ROOT_TOKEN'
  else
    # Once, and to a terminal alone: what goes elsewhere is kept and read by others.
    if [[ $is_first_start == true && -t 1 && -r $token_file ]]; then
      echo "  root token         $(cat "$token_file")   (shown once)"
    fi
    echo "  root token         kept in $token_file"
    token="\$(cat $token_file)"
  fi
  cat <<END

Try it:
  export DBFORGE_URL=$url DBFORGE_TOKEN=$token
  curl -H "Authorization: Bearer \$DBFORGE_TOKEN" -H 'Content-Type: application/json' -H 'Prefer: wait=20' \\
    -d '{"name":"shop"}' \$DBFORGE_URL/v1/databases
  curl -H "Authorization: Bearer \$DBFORGE_TOKEN" -H 'Content-Type: application/json' \\
    -d '{"sql":"SELECT sqlite_version()"}' \$DBFORGE_URL/v1/databases/shop/query
END
}

# --- the engine ---------------------------------------------------------------------------------

# Compose, told what the engine's side needs. .env is in the environment already.
compose() {
  docker compose --project-directory . --env-file /dev/null "$@"
}

project() {
  echo "${COMPOSE_PROJECT_NAME:-dbforge}"
}

engine_answers() {
  command -v docker >/dev/null && timeout 10 docker version >/dev/null 2>&1 || return 1
  local endpoint
  endpoint=$(docker context inspect --format '{{.Endpoints.docker.Host}}')
  [[ $endpoint == unix://* ]] ||
    fail "Docker is at $endpoint, but workers mount folders of this machine" "unset DOCKER_HOST"
  export DBFORGE_DOCKER_SOCKET="${DBFORGE_DOCKER_SOCKET:-${endpoint#unix://}}"
  export DBFORGE_DOCKER_GID="${DBFORGE_DOCKER_GID:-$(stat -L -c %g "$DBFORGE_DOCKER_SOCKET")}"
  export DBFORGE_HOST_DATA_DIR="$data_dir"
  local user group
  if [[ $(id -u) == 0 ]]; then user=65532 group=65532; else user=$(id -u) group=$(id -g); fi
  export DBFORGE_UID="${DBFORGE_UID:-$user}" DBFORGE_GID="${DBFORGE_GID:-$group}"
}

engine_answers_or_fail() {
  engine_answers || fail "the Docker engine is unreachable" "make deps"
}

say() { echo "stack: $*"; }

fail() {
  echo "stack: $1" >&2
  echo "stack: try: $2" >&2
  exit 1
}

main "$@"
