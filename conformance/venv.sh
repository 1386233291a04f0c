# Sourced by the scripts that judge by other people's suites: makes an environment of pinned packages, once.
#
#   judge_venv NAME REQUIREMENTS            sets venv to ${MILLPOND_VENV:-$HOME/.cache/millpond/venv}-NAME, and made to yes or no
#   source_of RELEASE DIRECTORY             unpacks the source distribution of a release, which holds its tests, in $venv/DIRECTORY

judge_venv() {
    venv=${MILLPOND_VENV:-$HOME/.cache/millpond/venv}-$1
    requirements=$2
    made=no
    if cmp -s "$requirements" "$venv/.millpond-requirements"; then
        return
    fi
    made=yes
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
}

source_of() {
    local place=$venv/$2
    mkdir -p "$place"
    "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest "$place" "$1"
    tar --extract --gzip --strip-components=1 --directory "$place" --file "$place"/*.tar.gz
}

# The environment is whole: the next run uses it as it is.
judge_venv_made() {
    cp "$requirements" "$venv/.millpond-requirements"
}
