#!/bin/sh
# Gives .env, beside compose.yaml, a new password wherever it has none: before the first `docker compose up`, and again
# after an upgrade that brought another user. What .env says already stays as it is.
set -eu
cd "$(dirname "$0")/.."
umask 077
[ -e .env ] || cp deploy/.env.example .env
for name in $(sed -n 's/^\([A-Z_]*PASSWORD\)=$/\1/p' deploy/.env.example); do
  grep -q "^$name=." .env && continue
  password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
  if grep -q "^$name=$" .env; then
    # By way of standard input: on a command line every process could read it.
    printf 's/^%s=$/%s=%s/\n' "$name" "$name" "$password" | sed -f /dev/stdin .env >.env.new
    mv .env.new .env
  else
    printf '%s=%s\n' "$name" "$password" >>.env
  fi
  echo "new: $name"
done
