#!/usr/bin/env bash
# Trains with several processes, one a GPU (on a machine without a GPU: on its CPU, over gloo).
#   bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
#   On several hosts: the same command on each, with NNODES, NODE_RANK, MASTER_ADDR and PORT in the environment.
#   With MAX_RESTARTS, a run that loses a process is started again so often, and goes on from its last checkpoint.
set -euo pipefail

CONFIG=${1:?the config is missing}
GPUS=${2:?the number of GPUs is missing}
TOOLS=$(dirname "${BASH_SOURCE[0]}")
ADDRESS=${MASTER_ADDR:-127.0.0.1}

if [ "${MAX_RESTARTS:-0}" -gt 0 ]; then
    # Only so do all hosts learn that one has to start again; ranks are dealt out anew each time. A store that the starts
    # shared would still have the addresses of the processes that are gone.
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    meeting=(--rdzv_backend=c10d --rdzv_endpoint="$ADDRESS:${PORT:-29500}" --max_restarts="$MAX_RESTARTS")
else
    meeting=(--node_rank="${NODE_RANK:-0}" --master_addr="$ADDRESS" --master_port="${PORT:-29500}")
fi

PYTHONPATH="$TOOLS/..:${PYTHONPATH:-}" torchrun \
    --nnodes="${NNODES:-1}" \
    "${meeting[@]}" \
    --nproc_per_node="$GPUS" \
    "$TOOLS/train.py" "$CONFIG" --launcher pytorch "${@:3}"
