#!/bin/sh
# Run the first Python that fits (3.11 to 3.13) with the arguments given. PYTHON=... in the environment overrides the search.
# A command of that name is not enough: a version manager's shim may exist without an interpreter behind it.
fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'
for python in ${PYTHON:+"$PYTHON"} python3 python3.11 python3.12 python3.13; do
    if command -v "$python" >/dev/null 2>&1 && "$python" -c "$fits" >/dev/null 2>&1; then
        exec "$python" "$@"
    fi
    if [ -n "$PYTHON" ]; then
        echo "PYTHON=$PYTHON is not a working Python 3.11, 3.12 or 3.13." >&2
        exit 1
    fi
done
echo "No Python 3.11, 3.12 or 3.13 was found (slicer-core has wheels for these)." >&2
echo "On Debian 12 or newer and Ubuntu 24.04 or newer:  sudo apt-get install python3 python3-venv" >&2
echo "Or name one:  make PYTHON=/path/to/python3.12 ..." >&2
exit 1
