#!/usr/bin/env bash
# A whole SLURM on one machine, over the loopback address, for tests: `slurm-local.sh start DIR`, `slurm-local.sh stop DIR`.
# As root, with slurm-wlm and munge installed (Debian: apt-get install slurm-wlm munge). Prints the line that commands need.
set -euo pipefail
what=$1 dir=$2 host=$(hostname -s)
export SLURM_CONF=$dir/slurm.conf
case $what in
start)
    mkdir -p "$dir"/{state,spool,log} /run/munge
    chown munge /run/munge
    cat >"$SLURM_CONF" <<EOF
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$((20000 + RANDOM % 10000))
SlurmdPort=$((30000 + RANDOM % 2000))
AuthType=auth/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1
KillWait=10
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
    if ! pgrep -x munged >/dev/null; then
        su -s /bin/sh munge -c "/usr/sbin/munged --pid-file=/run/munge/munged.pid"
        ln -s /run/munge/munged.pid "$dir/munged.pid"
    fi
    slurmctld -f "$SLURM_CONF"
    slurmd -f "$SLURM_CONF"
    for _ in $(seq 50); do
        if sinfo -h -o %t 2>/dev/null | grep -q idle; then echo "export SLURM_CONF=$SLURM_CONF"; exit; fi
        sleep 0.2
    done
    cat "$dir"/log/*.log >&2
    exit 1 ;;
stop)
    for daemon in slurmd slurmctld munged; do [ ! -e "$dir/$daemon.pid" ] || kill "$(cat "$dir/$daemon.pid")"; done ;;
*)
    echo "usage: $0 start|stop DIR" >&2
    exit 2 ;;
esac
