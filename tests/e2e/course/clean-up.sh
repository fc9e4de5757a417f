#!/usr/bin/env bash
# clean-up.sh NAME: delete every image, then the repository, then Docker's copies
set -euo pipefail
ids=$(aws ecr list-images --repository-name "$1" --query 'imageIds[*]' --output json)
aws ecr batch-delete-image --repository-name "$1" --image-ids "$ids"
aws ecr delete-repository --repository-name "$1" --force
docker images --filter "reference=$REGISTRY/$1" -q | sort -u | xargs -r docker rmi --force
