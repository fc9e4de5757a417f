#!/usr/bin/env bash
# build-and-push.sh NAME TAG: build in this folder, tag for the registry, push, and look at what arrived
set -euo pipefail
docker build -t "$1:$2" . >&2
docker tag "$1:$2" "$REGISTRY/$1:$2"
docker push "$REGISTRY/$1:$2" >&2
aws ecr describe-images --repository-name "$1" --image-ids "imageTag=$2"
