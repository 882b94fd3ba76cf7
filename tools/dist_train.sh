#!/usr/bin/env bash
# Trains with several processes, one a GPU (on a machine without a GPU: on its CPU, over gloo).
#   bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
#   NNODES, NODE_RANK, PORT and MASTER_ADDR are read from the environment.
set -euo pipefail

CONFIG=${1:?the config is missing}
GPUS=${2:?the number of GPUs is missing}
TOOLS=$(dirname "${BASH_SOURCE[0]}")

PYTHONPATH="$TOOLS/..:${PYTHONPATH:-}" torchrun \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$TOOLS/train.py" "$CONFIG" --launcher pytorch "${@:3}"
