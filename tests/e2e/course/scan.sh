#!/usr/bin/env bash
# scan.sh NAME TAG: scan what is pushed from now on, and an image that is there already
set -euo pipefail
aws ecr put-image-scanning-configuration --repository-name "$1" \
  --image-scanning-configuration scanOnPush=true > /dev/null
aws ecr start-image-scan --repository-name "$1" --image-id "imageTag=$2"
