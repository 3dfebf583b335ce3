#!/bin/bash
# Exit 0 if the node is ready, else 1 with its reason. bash speaks TCP itself, so the image needs no HTTP client.
# Usage: healthcheck.sh [HOST PORT]   (default: the admin port of this container)
set -u
host=${1:-127.0.0.1}
port=${2:-8081}

exec 3<>"/dev/tcp/$host/$port" || exit 1
printf 'GET /health/ready HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$host" >&3
answer=$(timeout 2 cat <&3)
case $answer in
    "HTTP/1.1 200 "*) exit 0 ;;
    *) printf '%s\n' "${answer:-no answer}"; exit 1 ;;
esac
