#!/usr/bin/env bash
# Test with several processes, one per GPU (without a GPU: on the CPU, with gloo).
#   bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
#   NNODES, NODE_RANK, PORT and MASTER_ADDR are read from the environment.
set -euo pipefail

CONFIG=${1:?the config is missing}
CHECKPOINT=${2:?the checkpoint is missing}
GPUS=${3:?the number of GPUs is missing}
TOOLS=$(dirname "${BASH_SOURCE[0]}")

PYTHONPATH="$TOOLS/..:${PYTHONPATH:-}" torchrun \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
