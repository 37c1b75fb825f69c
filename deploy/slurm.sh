#!/bin/bash
# A Ray cluster on a Slurm allocation, and a fleet of workers on it.
#
#   export TUNER_DATABASE_URL=postgresql://me@host/tuner    # the password: ~/.pgpass, or PGPASSWORD
#   sbatch --nodes=4 deploy/slurm.sh
#
# `ray symmetric-run` starts Ray on every node, runs this file's second half on the first one, and
# ends Ray with it. Two minutes before the time limit Slurm signals the job: the fleet is drained
# (epochs are ended, training is kept in TUNER_CHECKPOINT_DIR, trials go back to the queue), and the
# job is requeued to go on. Every node needs this software with its extra `ray` (docs/clusters.md).
#
#SBATCH --job-name=tuner-fleet
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=tuner-fleet-%j.log

set -uo pipefail
: "${TUNER_DATABASE_URL:?set it to the address of the database}"
gpus=${TUNER_GPUS:-0}                                             # the part of a GPU a worker takes
cores=${SLURM_CPUS_PER_TASK:-8}
workers=${TUNER_WORKERS:-$((${SLURM_JOB_NUM_NODES:-1} * cores))}
port=${TUNER_RAY_PORT:-6379}
stop=${TUNER_STOP_FILE:-$PWD/.tuner-fleet-${SLURM_JOB_ID:-0}.stop} # on a disk that nodes share

if [ "${1:-}" = fleet ]; then # on the first node, once Ray is up on all of them
  tuner fleet up --workers "$workers" --gpus "$gpus" || exit 1
  until [ -e "$stop" ]; do sleep 2; done
  tuner fleet down
  exit 0
fi

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')
rm -f "$stop"

# Ray runs the command on the first node alone, which is where Slurm has its copy of this file.
srun --ntasks-per-node=1 --export=ALL \
  ray symmetric-run --address "$address:$port" --min-nodes "$SLURM_JOB_NUM_NODES" \
  --num-cpus="$cores" -- bash "$0" fleet &
run=$!

drain() {
  touch "$stop"
  while kill -0 "$run" 2>/dev/null; do wait "$run"; done
  rm -f "$stop"
}
on_limit() {
  drain
  scontrol requeue "$SLURM_JOB_ID"
  exit 0
}
trap on_limit USR1
trap 'drain; exit 0' TERM INT

wait "$run"
