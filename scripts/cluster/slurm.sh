#!/usr/bin/env bash
# Runs a command with a SLURM of its own: one node, this machine, gone when the command has ended.
#
#     scripts/cluster/slurm.sh COMMAND...
#
# Needs Debian's slurm-wlm and munge (`apt-get install slurm-wlm munge`), and root where slurmd does.
# Every file is in one temporary folder, every port on 127.0.0.1. Exit code: the command's, or 70 if
# SLURM does not come up; then the logs are printed. SECONDS_AT_MOST (900) bounds the command,
# SLURM_CPUS (as many as there are) what the node has.
set -euo pipefail

if [ $# -eq 0 ]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
for program in munged slurmctld slurmd sbatch; do
    PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || {
        echo "slurm.sh: $program is not installed: apt-get install slurm-wlm munge" >&2
        exit 70
    }
done
PATH=$PATH:/usr/sbin

folder=$(mktemp -d)
chmod 755 "$folder"
command=
daemons=()

# The command, then jobs, so that slurmstepd ends; then the daemons, by the ids they were started with.
down() {
    local code=$? pid steps
    trap '' INT TERM
    if [ -n "$command" ]; then kill "$command" 2>/dev/null || true; fi
    if [ -e "$folder/up" ]; then
        timeout 10 scancel --user "$(id -un)" 2>/dev/null || true
        for _ in $(seq 50); do
            steps=$(timeout 5 squeue --noheader 2>/dev/null || true)
            [ -n "$steps" ] || break
            sleep 0.2
        done
    fi
    for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${daemons[@]}"; do
        for _ in $(seq 50); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$folder"
    exit "$code"
}
trap down EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

failed() {
    echo "slurm.sh: $1" >&2
    tail -n 15 "$folder"/*.log >&2 || true
    exit 70
}

# Two ports that nobody listens on.
free_ports() {
    local port found=()
    for port in $(shuf -i 20000-32000 -n 50); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || found+=("$port")
        [ ${#found[@]} -lt 2 ] || break
    done
    echo "${found[@]}"
}

read -r controller_port node_port <<<"$(free_ports)"
host=$(hostname -s)
me=$(id -un)
cpus=${SLURM_CPUS:-$(nproc)}
mkdir "$folder/state" "$folder/spool" "$folder/munge"
chmod 755 "$folder/munge"
head -c 128 /dev/urandom >"$folder/munge/key"
chmod 600 "$folder/munge/key"
export SLURM_CONF=$folder/slurm.conf
cat >"$SLURM_CONF" <<CONF
ClusterName=headprof
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=$controller_port
SlurmdPort=$node_port
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,batch_sched_delay=0
KillWait=10
MaxArraySize=100001
MaxJobCount=200000
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=here Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF

munged --foreground --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
    --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed" \
    --log-file="$folder/munged.log" >/dev/null 2>&1 &
daemons+=($!)
for _ in $(seq 50); do
    [ ! -S "$folder/munge/socket" ] || break
    sleep 0.1
done
[ -S "$folder/munge/socket" ] || failed "munged did not come up"
slurmctld -D >/dev/null 2>&1 &
daemons+=($!)
slurmd -D >/dev/null 2>&1 &
daemons+=($!)

state=
for _ in $(seq 120); do
    state=$(timeout 5 sinfo --noheader --format %T 2>/dev/null || true)
    [ "$state" != idle ] || break
    sleep 0.5
done
[ "$state" = idle ] || failed "the node is ${state:-not known}, not idle"
touch "$folder/up"

# In the background, so that a signal to this script is acted on at once.
timeout "${SECONDS_AT_MOST:-900}" "$@" <&0 &
command=$!
wait "$command"
