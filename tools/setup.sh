#!/bin/sh
# Makes the virtual environment for `make`: tools/setup.sh PYTHON VENV GROUP, where GROUP names requirements/GROUP.txt.
#
# Works before anything is installed, so it is POSIX shell. Every obstacle is one sentence and exit code 1. The
# environment is built anew when another Python (or another folder) made it, and when an earlier run was interrupted;
# when nothing changed this costs one start of Python.
set -eu

python=$1
venv=$2
group=$3

refuse() {
    printf '%s\n' "$1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 ||
    refuse "There is no $python here: install Python 3.11 or newer (apt-get install python3 python3-venv), or name one with make PYTHON=..."

# One start of Python answers everything: is it new enough, can it make environments, and which one is it.
identity=$("$python" -c '
import sys
if sys.version_info < (3, 11):
    print("old", "%d.%d" % sys.version_info[:2])
else:
    try:
        import ensurepip, venv
    except ImportError:
        print("novenv", "%d.%d" % sys.version_info[:2])
    else:
        print("ok", sys.version.split()[0], sys.base_prefix)
' 2>/dev/null) || refuse "$python does not run: install Python 3.11 or newer, or name one with make PYTHON=..."
case $identity in
    old*) refuse "$python is Python ${identity#old }, and 3.11 is the oldest that works: name a newer one with make PYTHON=python3.12" ;;
    novenv*) refuse "Python ${identity#novenv } came without its venv module: apt-get install python${identity#novenv }-venv" ;;
    ok*) ;;
    *) refuse "$python does not behave like Python: name another with make PYTHON=..." ;;
esac
identity="$identity at $(pwd)"

# root may write where the mode forbids it, so the way to know is to try
(: >".write-probe.$$") 2>/dev/null || refuse "The folder $(pwd) cannot be written: put the project where you may write."
rm -f ".write-probe.$$"

wanted=$(cat requirements/uv.txt "requirements/$group.txt" | cksum)
if [ "$(cat "$venv/.made-by" 2>/dev/null)" = "$identity" ] && [ ! -e "$venv/.unfinished" ]; then
    [ "$(cat "$venv/.has-$group" 2>/dev/null)" = "$wanted" ] && exit 0
else
    if [ -e "$venv" ]; then
        [ -e "$venv/pyvenv.cfg" ] || [ -e "$venv/.unfinished" ] ||
            refuse "$venv exists and is no virtual environment: name another folder with make VENV=..."
        echo "Making $venv anew: it is unfinished, or another Python made it."
        rm -rf "$venv" 2>/dev/null || refuse "The folder $venv cannot be removed: delete it and try again."
    fi
    # Left in place by an interruption, here or while installing; the next run then starts over.
    mkdir -p "$venv" && : >"$venv/.unfinished"
    "$python" -m venv "$venv" || refuse "$python could not make the virtual environment $venv."
    printf '%s\n' "$identity" >"$venv/.made-by"
fi

echo "Installing requirements/$group.txt into $venv."
: >"$venv/.unfinished"
"$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt ||
    refuse "The installer uv could not be installed: see above (is a package index reachable?)."
VIRTUAL_ENV=$venv "$venv/bin/uv" pip install -q --require-hashes -r "requirements/$group.txt" ||
    refuse "The requirements could not be installed: see above (is a package index reachable?)."
printf '%s\n' "$wanted" >"$venv/.has-$group"
rm -f "$venv/.unfinished"
