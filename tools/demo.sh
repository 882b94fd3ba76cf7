#!/usr/bin/env bash
# The whole toolkit in five minutes, on synthetic street scenes, without downloads of data and without a GPU.
#   bash tools/demo.sh [arguments of tools/demo.py]
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
exec python tools/demo.py "$@"
