#!/usr/bin/env bash
# A SLURM cluster of one node on 127.0.0.1, to test the profile workflow/profiles/slurm. Needs root and Debian's packages:
#   apt-get install -y slurm-wlm munge
# usage: tools/loopback_slurm.sh start | stop | status
# State lies in LOOPBACK_SLURM (default /tmp/loopback_slurm); only /etc/slurm/slurm.conf is outside. LOOPBACK_CPUS says how
# many CPUs, LOOPBACK_MPI which plugin srun sets for parallel programs (default pmi2): LAMMPS must not take it for its own.
set -euo pipefail

state=${LOOPBACK_SLURM:-/tmp/loopback_slurm}
conf=/etc/slurm/slurm.conf
mark="# made by tools/loopback_slurm.sh"
socket=$state/munge/munge.socket

write_conf() {
  local cpus memory
  cpus=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc) # nproc obeys these; a job of two processes would wait forever
  cpus=${LOOPBACK_CPUS:-$((cpus > 2 ? cpus : 2))}
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  cat > "$conf" << EOF
$mark
ClusterName=loopback
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$socket
CredType=cred/munge
StateSaveLocation=$state/ctld
SlurmdSpoolDir=$state/d
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=${LOOPBACK_MPI:-pmi2}
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MinJobAge=300
JobRequeue=1
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,batch_sched_delay=0,sched_min_interval=100000
PreemptMode=REQUEUE
PreemptType=preempt/partition_prio
NodeName=localhost NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=localhost MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
EOF
}

start() {
  for program in munged slurmctld slurmd; do
    command -v "$program" > /dev/null || { echo "$program is missing: apt-get install -y slurm-wlm munge" >&2; exit 2; }
  done
  if [ -e "$conf" ] && ! grep -qF "$mark" "$conf"; then
    echo "$conf belongs to a real SLURM; this script leaves it alone" >&2
    exit 2
  fi
  status > /dev/null 2>&1 && { echo "already up"; return; }
  mkdir -p "$state/munge" "$state/ctld" "$state/d" /etc/slurm
  chmod 755 "$state" "$state/munge"
  [ -e "$state/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom > "$state/munge/key")
  write_conf
  munged --force --socket "$socket" --key-file "$state/munge/key" --num-threads 2 \
    --pid-file "$state/munge/munged.pid" --log-file "$state/munge/munged.log" --seed-file "$state/munge/seed"
  slurmctld -c
  slurmd
  for _ in $(seq 60); do
    [ "$(sinfo --noheader --format %T --partition main 2> /dev/null)" = idle ] && { sinfo; return; }
    scontrol update NodeName=localhost State=RESUME > /dev/null 2>&1 || true
    sleep 0.5
  done
  echo "the node did not come up; see $state/*.log" >&2
  exit 1
}

stop() {
  local file
  scancel --state=RUNNING --state=PENDING --user root > /dev/null 2>&1 || true
  for file in "$state/slurmd.pid" "$state/slurmctld.pid" "$state/munge/munged.pid"; do
    [ -e "$file" ] && kill "$(cat "$file")" 2> /dev/null || true
  done
  for _ in $(seq 40); do
    [ -e "$state/slurmd.pid" ] || [ -e "$state/slurmctld.pid" ] || break
    sleep 0.25
  done
  if [ -e "$conf" ] && grep -qF "$mark" "$conf"; then rm -f "$conf"; fi
  rm -rf "$state"
}

status() {
  [ -e "$conf" ] && grep -qF "$mark" "$conf" && [ -e "$state/slurmctld.pid" ] && timeout 5 sinfo
}

case "${1:-}" in
  start | stop | status) "$1" ;;
  *) sed -n '2,6s/^# //p' "$0" >&2; exit 2 ;;
esac
