#!/bin/sh
# require-python.sh PYTHON: exit 1 with one sentence unless PYTHON is 3.11 or newer and can make virtual environments.
python=${1:-python3}
remedy="install Python 3.11 or newer and say which: make run PYTHON=/path/to/python3.12"
if ! version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null); then
  echo "openecr: there is no $python; $remedy" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "openecr: $python is Python $version, which is too old; $remedy" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  echo "openecr: $python cannot make virtual environments; install its venv module (on Debian: apt install python3-venv)" >&2
  exit 1
fi
