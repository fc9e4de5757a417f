#!/usr/bin/env bash
# ci.sh NAME: what a pipeline does on every commit: build on the cache of the last image, push the commit and `latest`
set -euo pipefail
account=$(aws sts get-caller-identity --query Account --output text)
registry=$account.dkr.ecr.$REGION.amazonaws.com
tag=${GIT_SHA:-$(git rev-parse --short HEAD)}
aws ecr get-login-password --region "$REGION" | docker login --username AWS --password-stdin "$registry"
docker build --cache-from "$registry/$1:latest" --build-arg BUILDKIT_INLINE_CACHE=1 \
  -t "$registry/$1:$tag" -t "$registry/$1:latest" .
docker push "$registry/$1:$tag"
docker push "$registry/$1:latest"
echo "pushed $registry/$1:$tag"
