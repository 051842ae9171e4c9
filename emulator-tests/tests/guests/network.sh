#!/bin/bash
# What a guest sees of its network; runs in the guest. Each line that it says is looked at.
say() { echo "seen: $*"; }
# HOST PORT: sends what it is given, and shows the answer.
ask() {
    exec 3<>"/dev/tcp/$1/$2" || return
    cat >&3
    cat <&3
    exec 3>&-
}
# METHOD PATH HEADER
metadata() {
    printf '%s %s HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$@" |
        ask 169.254.169.254 80
}
token=$(metadata PUT /latest/api/token 'X-aws-ec2-metadata-token-ttl-seconds: 60' | tail -n 1)
header="X-aws-ec2-metadata-token: $token"
say "instance $(metadata GET /latest/meta-data/instance-id "$header" | tail -n 1)"
say "without $(metadata GET /latest/meta-data/instance-id 'X-None: x' | head -n 1 | tr -d '\r')"
for card in /sys/class/net/e*; do say "mtu $(cat "$card/mtu")"; done
say "resolver $(grep -m 1 nameserver /etc/resolv.conf)"
say "service $(getent ahostsv4 sqs.us-east-1.amazonaws.com | head -n 1 | tr -s ' ')"
getent hosts crates.io >/dev/null || say "no other name"
(exec 3<>/dev/tcp/8.8.8.8/443) 2>/dev/null || say "no way out"
# NAME COMMAND…: how fast 32 MiB pass.
rate() {
    local name=$1 start=${EPOCHREALTIME/[.,]/}
    shift
    "$@"
    say "$name $((32 * 1000000 / (${EPOCHREALTIME/[.,]/} - start))) MiB/s"
}
down() { echo down | ask s3.us-east-1.amazonaws.com 80 | cmp -n 33554432 - /dev/zero && say "all there"; }
up() { { echo up; head -c 33554432 /dev/zero; } | ask s3.us-east-1.amazonaws.com 80; }
rate down down
rate up up
say "done"
