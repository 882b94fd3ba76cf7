# Sourced by tools/demo.sh and tools/run_tests.sh: an environment with skd_mm, which the first call creates.
#
# This is the active virtual environment, or else .venv, or .venv-original for the original OpenMMLab releases
# (SKD_MM_STACK=original). An installed torch is not changed; without one, the version for machines without a GPU is
# installed. Nothing is installed again until the requirements change.

STACK=${SKD_MM_STACK:-maintained}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "skd_mm: $*" >&2
    exit 1
}

case $STACK in
    maintained) line=requirements/mminstall.txt detection=requirements/detection.txt venv=.venv ;;
    original) line=requirements/mminstall_original.txt detection= venv=.venv-original ;;
    *) fail "SKD_MM_STACK=$STACK: it must be 'maintained' (the default) or 'original'" ;;
esac

is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]; then
    if [ ! -x $venv/bin/python ] || ! $venv/bin/python -m pip --version >/dev/null 2>&1; then
        base=
        for candidate in python3 python3.13 python3.12 python3.11 python3.10 python; do
            if is_recent "$candidate"; then
                base=$candidate
                break
            fi
        done
        [ -n "$base" ] || fail 'Python 3.10 or later is needed, and none was found'
        echo "skd_mm: making $venv with $("$base" --version)"
        "$base" -m venv --clear $venv ||
            fail "$base cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)"
    fi
    # shellcheck disable=SC1090
    source $venv/bin/activate
fi
is_recent python || fail "Python 3.10 or later is needed, the active environment has $(python --version 2>&1)"

python - "$STACK" <<'EOF' || exit 1
import sys
from importlib.metadata import distributions

names = {distribution.metadata['Name'] for distribution in distributions()}
others = {
    'maintained': {'mmengine', 'mmengine-lite', 'mmcv', 'mmcv-lite', 'mmsegmentation', 'mmpretrain', 'mmdet'},
    'original': {'onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation', 'onedl-mmpretrain', 'onedl-mmdetection'},
}[sys.argv[1]]
if names & others:
    sys.exit(f'skd_mm: {", ".join(sorted(names & others))} in this environment would be overwritten by the {sys.argv[1]} '
             'line of OpenMMLab packages. Use another environment, or set SKD_MM_STACK to the other line.')
EOF

prefix=$(python -c 'import sys; print(sys.prefix)')
key=$({ pwd; python --version; cat $line $detection requirements/cpu.txt requirements/runtime.txt requirements/deploy.txt \
    requirements/tests.txt requirements/docs.txt setup.py; } |
    sha256sum | cut -d' ' -f1)
if [ "$(cat "$prefix/.skd_mm" 2>/dev/null)" != "$key" ] || [ ! -e skd_mm/.mim ]; then
    torch=$(python -c 'from importlib.metadata import version; print(version("torch"))' 2>/dev/null || true)
    if [ -n "$torch" ]; then
        torch_requirements=("torch==$torch" torchvision)
    else
        torch_requirements=(-r requirements/cpu.txt)
    fi
    quiet=()
    [ -t 1 ] || quiet=(--quiet)
    echo "skd_mm: installing the requirements ($line) into $prefix; the first time takes minutes"
    python -m pip install --disable-pip-version-check "${quiet[@]}" "${torch_requirements[@]}" \
        -r $line -r requirements/runtime.txt -r requirements/deploy.txt -r requirements/tests.txt -r requirements/docs.txt
    if [ -n "$detection" ]; then  # without what it requires but does not use, see the file
        python -m pip install --disable-pip-version-check "${quiet[@]}" --no-deps -r "$detection"
    fi
    python -m pip install --disable-pip-version-check "${quiet[@]}" --no-deps --editable .
    echo "$key" >"$prefix/.skd_mm"
fi
