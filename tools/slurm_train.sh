#!/usr/bin/env bash
# Train on a Slurm cluster. A job that is requeued (SRUN_ARGS=--requeue) resumes from its last checkpoint.
#   bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [WORK_DIR] [arguments of tools/train.py]
#   GPUS (4), GPUS_PER_NODE (4), CPUS_PER_TASK (5) and SRUN_ARGS are read from the environment.
set -euo pipefail

PARTITION=${1:?the partition is missing}
JOB_NAME=${2:?the name of the job is missing}
CONFIG=${3:?the config is missing}
shift 3
if [ $# -gt 0 ] && [[ $1 != -* ]]; then
    set -- --work-dir "$@"
fi
TOOLS=$(dirname "${BASH_SOURCE[0]}")

# shellcheck disable=SC2086
PYTHONPATH="$TOOLS/..:${PYTHONPATH:-}" srun -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    --gres=gpu:"${GPUS_PER_NODE:-4}" \
    --ntasks="${GPUS:-4}" \
    --ntasks-per-node="${GPUS_PER_NODE:-4}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    python -u "$TOOLS/train.py" "$CONFIG" --launcher slurm "$@"
