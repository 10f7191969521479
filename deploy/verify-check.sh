#!/usr/bin/env bash
# Proves a running compose project, from its own folder: `docker compose up --detach --wait && deploy/verify-check.sh`.
# A plan ends; then a second one ends although a worker and a beat are killed in the middle of it; Flower keeps its door.
set -euo pipefail

PATIENCE=${PATIENCE:-120} # seconds for a plan to end

say() { printf -- '-- %s\n' "$*"; }
die() { printf 'FAIL: %s\n' "$*" >&2; exit 1; }
compose() { docker compose ${COMPOSE_ARGS:-} "$@"; } # word splitting wanted

# in_plan NAME COMMAND…: run a command in whichever worker answers; input is passed on.
in_plan() { local plan=$1; shift; compose exec -T -e MOIE_PLAN="$plan" worker "$@"; }

load() { in_plan "$1" sh -c 'cat >/tmp/plan.yaml && moie load /tmp/plan.yaml'; }

sovereign() {
  in_plan "$1" sh -c 'moie status --json | python -c "import json, sys; sys.exit(not json.load(sys.stdin)[\"sovereign\"])"' \
    >/dev/null 2>&1
}

await() { # DESCRIPTION COMMAND…
  local what=$1 began=$SECONDS; shift
  until "$@"; do
    [ $((SECONDS - began)) -lt "$PATIENCE" ] || die "$what: not within $PATIENCE s"
    sleep 1
  done
  say "$what: after $((SECONDS - began)) s"
}

# The init process has one child, the Celery process; as that dies the container ends and the restart policy acts.
kill_main() { docker exec "$1" sh -c 'kill -KILL $(cat /proc/1/task/1/children)'; }
restarted() { [ "$(docker inspect -f '{{.RestartCount}}' "$1")" -ge 1 ]; }
ready() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$1")" = healthy ]; }

plan_of() { # NUMBER OF JOBS, COMMAND: a small plan of two phases
  printf 'version: 3\nphases:\n  - id: 1\n    name: WORK\n    jobs:\n'
  for n in $(seq "$1"); do
    printf '      - {id: "1.%d", task: "piece %d", verification_cmd: "%s"}\n' "$n" "$n" "$2"
  done
  printf '  - id: 2\n    name: END\n    jobs:\n      - {id: "2.1", task: the end, verification_cmd: "true"}\n'
}

say 'a plan comes to its verified end'
plan_of 5 true | load check-1
await 'check-1 is sovereign' sovereign check-1

say 'three workers; one of them and one beat are killed in the middle of a plan'
compose up --detach --no-build --no-recreate --wait --scale worker=3 worker >/dev/null 2>&1
worker=$(compose ps -q worker | tail -n 1)
beat=$(compose ps -q beat | head -n 1)
[ "$(compose ps -q beat | wc -l)" -ge 2 ] || die 'there are not two beats'
plan_of 40 'sleep 1' | load check-2
kill_main "$worker"
kill_main "$beat"
await 'check-2 is sovereign' sovereign check-2
await 'the killed worker is back' restarted "$worker"
await 'the killed beat is back' restarted "$beat"
await 'the worker answers again' ready "$worker"
await 'the beat answers again' ready "$beat"

say 'who looks sees the plan and changes nothing; who operates does'
tool() { compose --profile tools run --rm -T -e MOIE_PLAN=check-2 "$@"; }
paused() { tool look status --json | grep -q '"paused": true'; }
tool look status >/dev/null || die 'the reader cannot look'
! tool look pause 2>/dev/null || die 'the reader could pause a plan'
! paused || die 'the reader paused the plan'
tool operate pause >/dev/null || die 'the operator cannot pause a plan'
paused || die 'the plan is not paused'
tool operate resume >/dev/null

say 'who looks knows the key that sealed the receipts; what who operates saves is there when he is gone'
trusted() { tool look status --json | grep -q '"trusted": true'; }
tool operate heartbeat >/dev/null
await 'the reader trusts the newest seal' trusted
tool operate backup create >/dev/null || die 'the operator cannot take a snapshot'
compose exec -T worker sh -c 'test -n "$(ls /var/lib/moie/snapshots/check-2/*-manual.moie)"' || die 'the snapshot went'
! tool look keys make eve --role worker 2>/dev/null || die 'the reader wrote into the home'

say 'another user, of the group 0, can use the image'
docker run --rm --read-only --user 54321:0 "$(docker inspect -f '{{.Image}}' "$worker")" \
  sh -c 'ls /app/examples && moie keys make probe --role worker' >/dev/null || die 'it cannot be used by another user'

say 'Flower asks for its password and changes nothing'
compose exec -T flower python - <<'PYTHON'
import base64, os, urllib.error, urllib.request

def status(path, method="GET", auth=None):
    request = urllib.request.Request(f"http://127.0.0.1:5555{path}", method=method, data=b"" if method == "POST" else None)
    if auth:
        request.add_header("Authorization", "Basic " + base64.b64encode(auth.encode()).decode())
    try:
        return urllib.request.urlopen(request, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code

mine = os.environ["FLOWER_BASIC_AUTH"]
assert status("/workers") == 401, "open without a password"
assert status("/workers", auth=mine) == 200, "closed with the password"
if os.environ["FLOWER_READ_ONLY"] == "true":
    answer = status("/api/worker/shutdown/nobody", "POST", mine)
    assert answer in (403, 405), f"a change was answered with {answer}"
PYTHON

say 'nothing is published but Flower, on the loopback; nobody is root'
for id in $(compose ps -q); do
  [ "$(docker exec "$id" id -u)" != 0 ] || die "container $id runs as root"
done
published=$(docker inspect -f '{{range .NetworkSettings.Ports}}{{range .}}{{println .HostIp}}{{end}}{{end}}' $(compose ps -q) | grep . | sort -u)
[ "$published" = 127.0.0.1 ] || die "published on: $published"
say 'all well'
