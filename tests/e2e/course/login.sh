#!/usr/bin/env bash
# Exchange the AWS keys for a registry password, and give it to Docker.
set -euo pipefail
aws ecr get-login-password --region "$REGION" | docker login --username AWS --password-stdin "$REGISTRY"
