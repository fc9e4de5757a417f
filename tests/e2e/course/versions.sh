#!/usr/bin/env bash
# versions.sh NAME: twelve more versions, each with another app.py
set -euo pipefail
for i in $(seq 1 12); do
  sed -i "s/version\": \"[0-9.]*\"/version\": \"1.$i.0\"/" app.py
  docker build -t "$REGISTRY/$1:v1.$i.0" .
  docker push "$REGISTRY/$1:v1.$i.0"
done
