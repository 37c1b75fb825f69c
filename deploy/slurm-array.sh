#!/bin/bash
# Workers as a Slurm array job, without Ray: they need the database and nothing of each other.
#
#   export TUNER_DATABASE_URL=postgresql://me@host/tuner    # the password: ~/.pgpass, or PGPASSWORD
#   sbatch --array=1-16 deploy/slurm-array.sh
#
# Each element is `tuner worker` on what it was given: a process a GPU, or a process a core. Two
# minutes before the time limit Slurm signals it: epochs are ended, training is kept in
# TUNER_CHECKPOINT_DIR (a folder that all nodes share, or s3://...), trials go back to the queue, and
# the element is requeued to go on. scancel ends it without the requeue, as soon as Slurm's KillWait
# allows. Once nothing waits any more: scancel the array.
#
#SBATCH --job-name=tuner-worker
#SBATCH --array=1-4
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=tuner-worker-%A_%a.log

set -uo pipefail
: "${TUNER_DATABASE_URL:?set it to the address of the database}"
grace=${TUNER_GRACE:-60}          # seconds to end an epoch; the signal comes 120 before the limit
processes=${TUNER_PROCESSES:-}    # one a GPU, or one a core, if not set
walltime=${TUNER_WALLTIME:-}      # seconds of work, where no signal comes; then no requeue either

tuner worker ${processes:+--processes "$processes"} --grace "$grace" \
  ${walltime:+--walltime "$walltime"} &
worker=$!

drain() { # no more trials; those in training are kept and put back
  kill -TERM "$worker" 2>/dev/null
  while kill -0 "$worker" 2>/dev/null; do wait "$worker"; done
}
on_limit() {
  drain
  scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
  exit 0
}
trap on_limit USR1
trap 'drain; exit 0' TERM INT

wait "$worker"
