#!/usr/bin/env bash
# Style, types, tests (in two processes).
#   bash tools/run_tests.sh [--quick] [arguments of pytest]
#     --quick                leaves out the tests that take more than ten seconds each
#     SKD_MM_STACK=original  tests with the original OpenMMLab releases
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
marker=()
if [ "${1:-}" = --quick ]; then
    marker=(-m 'not slow')
    shift
fi
python -m ruff check .
python -m mypy
# Whole files go to one process, so that what a file's tests share is made once.
python -m pytest -n 2 --dist loadfile "${marker[@]}" "$@"
