# Servers that a benchmark measures, on free ports in temporary folders below $work; `stop` ends all.
# Sourced by `run`, which sets work, bin (where Porchlight is) and peer (the Node server's folder).

# What runs, in the order of its start: process ids, and for nodes "PORT:PID" as well.
running=() nodes=()
redis= postgres= database=

stop() {
  local at
  for ((at = ${#running[@]} - 1; at >= 0; at--)); do
    kill "${running[at]}" 2>/dev/null || true
    wait "${running[at]}" 2>/dev/null || true
  done
  running=() nodes=() redis= postgres= database=
}

free_port() {
  node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => {
    console.log(s.address().port); s.close(); })'
}

# await_port PORT PID LOG: waits until something listens there, for 20 seconds at most.
await_port() {
  for _ in $(seq 200); do
    if (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
    if ! kill -0 "$2" 2>/dev/null; then break; fi
    sleep 0.1
  done
  echo "a server did not start:" >&2
  tail -20 "$3" >&2
  exit 1
}

# launch KIND PING_INTERVAL_MS NAME=VALUE...: one node, `porchlight` or `node`, with these variables.
# Everything that would refuse load is set high.
launch() {
  local kind=$1 ping=$2 folder port many=1000000
  shift 2
  folder=$(mktemp -d "$work/XXXXXX")
  port=$(free_port)
  local clean=(env -u REDIS_URL -u DATABASE_URL -u CLIENT_URL -u FRONTEND_URL -u NEXTAUTH_SECRET
    PORT="$port" JWT_SECRET="$BENCH_JWT_SECRET" "$@")
  case $kind in
    porchlight)
      (
        cd "$folder"
        exec "${clean[@]}" PORCHLIGHT_OPS_PORT="$(free_port)" LOG_LEVEL=warn \
          PORCHLIGHT_TRANSPORT_PING_INTERVAL_MS="$ping" \
          PORCHLIGHT_CHAT_MAX_PARTICIPANTS=1000 \
          PORCHLIGHT_LIMITS_EVENTS_PER_SECOND=$many PORCHLIGHT_LIMITS_EVENTS_BURST=$many \
          PORCHLIGHT_LIMITS_MESSAGES_PER_SECOND=$many PORCHLIGHT_LIMITS_MESSAGES_BURST=$many \
          PORCHLIGHT_LIMITS_CONNECTIONS_PER_ADDRESS=$many \
          PORCHLIGHT_LIMITS_HANDSHAKES_PER_SECOND=$many PORCHLIGHT_LIMITS_HANDSHAKES_BURST=$many \
          PORCHLIGHT_LIMITS_NODE_HANDSHAKES_PER_SECOND=$many PORCHLIGHT_LIMITS_NODE_HANDSHAKES_BURST=$many \
          PORCHLIGHT_LIMITS_REQUESTS_PER_SECOND=$many PORCHLIGHT_LIMITS_REQUESTS_BURST=$many \
          "$bin/porchlight" serve
      ) >"$folder/log" 2>&1 &
      ;;
    node)
      (
        cd "$folder"
        exec "${clean[@]}" PING_INTERVAL_MS="$ping" NODE_ENV=production node "$peer/server.mjs"
      ) >"$folder/log" 2>&1 &
      ;;
  esac
  running+=($!)
  nodes+=("$port:$!")
  await_port "$port" $! "$folder/log"
}

# A Redis that keeps nothing, as "PORT:PID" in $redis.
launch_redis() {
  local folder port
  folder=$(mktemp -d "$work/XXXXXX")
  port=$(free_port)
  redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$folder" \
    >"$folder/log" 2>&1 &
  running+=($!)
  redis=$port:$!
  await_port "$port" $! "$folder/log"
}

# A PostgreSQL with these settings more than its own, as a process id in $postgres, and the URL of a
# fresh database in $database.
launch_postgres() {
  local folder port programs as=() user setting settings=()
  folder=$(mktemp -d "$work/XXXXXX")
  port=$(free_port)
  programs=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
  # It refuses to run as root.
  if [ "$(id -u)" = 0 ]; then
    user=$(id -un postgres 2>/dev/null || echo nobody)
    chmod 711 "$work"
    chown "$user" "$folder"
    as=(setpriv --reuid="$user" --regid="$(id -gn "$user")" --clear-groups)
  fi
  for setting in "$@"; do settings+=(-c "$setting"); done
  (
    cd "$folder"
    export PATH=$programs:$PATH
    "${as[@]}" initdb --username=bench --auth=trust --encoding=UTF8 --locale=C --no-sync \
      --no-instructions --pgdata "$folder/data" >"$folder/log" 2>&1
    exec "${as[@]}" postgres -D "$folder/data" -p "$port" -k "$folder" \
      -c listen_addresses=127.0.0.1 -c max_connections=200 "${settings[@]}" >>"$folder/log" 2>&1
  ) &
  running+=($!)
  postgres=$!
  await_port "$port" $! "$folder/log"
  database="postgres://bench@127.0.0.1:$port/postgres?sslmode=disable"
  # It listens before it lets anybody in.
  for _ in $(seq 200); do
    if PATH=$programs:$PATH psql -q "$database" -c 'SELECT 1' >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  echo "PostgreSQL did not start:" >&2
  tail -20 "$folder/log" >&2
  exit 1
}
