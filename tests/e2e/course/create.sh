#!/usr/bin/env bash
# create.sh NAME ENCRYPTION: a private repository with immutable tags that is scanned on push
set -euo pipefail
aws ecr create-repository --region "$REGION" --repository-name "$1" --image-tag-mutability IMMUTABLE \
  --image-scanning-configuration scanOnPush=true --encryption-configuration "encryptionType=$2"
