#!/usr/bin/env bash
# Train with several processes, one per GPU (without a GPU: on the CPU, with gloo).
#   bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
#   On several hosts: the same command on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT in the environment.
#   A run that loses a process is restarted up to MAX_RESTARTS times, and resumes from its last checkpoint.
set -euo pipefail

CONFIG=${1:?the config is missing}
GPUS=${2:?the number of GPUs is missing}
TOOLS=$(dirname "${BASH_SOURCE[0]}")
ADDRESS=${MASTER_ADDR:-127.0.0.1}

if [ "${MAX_RESTARTS:-0}" -gt 0 ]; then
    # With this backend all hosts restart together, with new ranks. A store shared between restarts would still hold the
    # addresses of the processes that have ended.
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    rendezvous=(--rdzv_backend=c10d --rdzv_endpoint="$ADDRESS:${PORT:-29500}" --max_restarts="$MAX_RESTARTS")
else
    rendezvous=(--node_rank="${NODE_RANK:-0}" --master_addr="$ADDRESS" --master_port="${PORT:-29500}")
fi

PYTHONPATH="$TOOLS/..:${PYTHONPATH:-}" torchrun \
    --nnodes="${NNODES:-1}" \
    "${rendezvous[@]}" \
    --nproc_per_node="$GPUS" \
    "$TOOLS/train.py" "$CONFIG" --launcher pytorch "${@:3}"
