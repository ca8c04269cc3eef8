#!/bin/bash
# The first process of a machine: takes what is to be its own, and keeps services up.
#
#     init.sh FOLDER NAME HOSTNAME KUBE
#
# FOLDER is the cluster's, in which NAME is this machine's. Mounts stay in the machine,
# and are on folders that every system has: nothing has to be made or removed outside.
set -eu
folder=$1 name=$2 kube=$4
hostname "$3"

mount -t proc proc /proc
# A new sysfs shows this network namespace's links, but no control groups.
mount --rbind /sys/fs/cgroup "$folder/$name/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$folder/$name/cgroup" /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mount --bind "$kube" "$folder/bin/kube"
mount --rbind "$folder" /srv
mount --bind "/srv/$name/var" /var
mount --bind /srv/tmp /tmp
# Volumes that pods mount are to be seen by others: mounts go on to namespaces in here.
mount --make-rshared /
echo 1 >/proc/sys/net/ipv4/ip_forward
# What processes leave unsent when they are killed is not tried for minutes.
echo 1 >/proc/sys/net/ipv4/tcp_orphan_retries
# Others may enter from here on.
touch /run/booted

# keep SERVICE: runs it again when it ends, but for as long as it shall be stopped.
keep() {
    while :; do
        while [ -e "/srv/$name/stopped/$1" ]; do sleep 0.1; done
        sh "/srv/$name/services/$1" >>"/var/log/$1.log" 2>&1 &
        echo $! >"/run/$1.pid"
        wait $! || true
        echo "$(date --iso-8601=seconds) $1 ended"
        rm "/run/$1.pid"
        sleep 1
    done
}

cd /
for script in "/srv/$name/services/"*; do
    keep "$(basename "$script")" &
done
wait
