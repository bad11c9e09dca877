#!/usr/bin/env bash
# `import face_recognition` (1.3.0) ends the program with status 0 and asks for a package that is installed.
#
# Its models package (face-recognition-models 0.3.0) imports pkg_resources, which setuptools had until release 81.0.0 and
# which no new virtual environment of Python 3.12 or later has. face_recognition takes any error of that import for a
# missing package, prints how to install it, and calls quit(). So a batch that scores faces ends at its first line, and
# whoever started it is told that all went well. With setuptools 80.9.0 beside them, the same two packages run.
#
# Seen on Linux x86-64 with Python 3.11.7, dlib-bin 20.0.1.post1:
#   setuptools 84.2.1: status 0, behind the import: not reached
#   setuptools 80.9.0: status 0, behind the import: reached
#
# Exit status 0: as described; 1: something of it has changed; others: something could not be installed or run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3.11}" -m venv venv
install() { venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps "$@"; }
install face-recognition==1.3.0 face-recognition-models==0.3.0 dlib-bin==20.0.1.post1 numpy==2.4.6 pillow==13.0.0
changed=0
try() { # VERSION EXPECTED
    install "setuptools==$1"
    rm -f reached
    status=0
    venv/bin/python -W ignore -c 'import face_recognition; open("reached", "w").close()' > said 2>&1 || status=$?
    found=$(test -e reached && echo reached || echo "not reached")
    echo "setuptools $1: status $status, behind the import: $found"
    test "$status/$found" = "0/$2" || changed=1
}
try 84.2.1 "not reached"
grep -q 'Please install `face_recognition_models`' said || changed=1
venv/bin/python -m pip show --quiet face-recognition-models
try 80.9.0 "reached"
test "$changed" = 0 || { echo "CHANGED"; exit 1; }
