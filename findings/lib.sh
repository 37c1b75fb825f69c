# Sourced by every finding: an empty folder, removed at exit, and a venv of pinned packages.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
unset PYTHONPATH
export OMP_NUM_THREADS=1

# venv PACKAGE==VERSION ...: from here on `python` has these and what they need. The environment
# is made in the empty folder, or kept in $FINDINGS_VENVS for all that name the same packages.
venv() {
    local home
    home="${FINDINGS_VENVS:-$folder}/$(tr -c '[:alnum:].-' '_' <<<"$*")"
    if [ ! -e "$home/complete" ]; then
        "${PYTHON:-python3}" -m venv --clear "$home"
        "$home/bin/python" -m pip install -qq --no-compile --disable-pip-version-check "$@"
        touch "$home/complete"
    fi
    PATH="$home/bin:$PATH"
    echo "versions: $(python --version), $*"
}
