#!/bin/sh
# What the API needs, in a Python environment of its own. Nothing is fetched: the packages lie in vendor/.
set -eu
python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --no-index --find-links vendor -r requirements.txt
