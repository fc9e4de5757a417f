#!/usr/bin/env bash
# cross-account.sh: other accounts may pull myapp/api
set -euo pipefail
aws ecr set-repository-policy \
  --repository-name myapp/api \
  --policy-text '{ "Version": "2012-10-17", "Statement": [ { "Sid": "AllowCrossAccountPull", "Effect": "Allow", "Principal": { "AWS": [ "arn:aws:iam::987654321098:root", "arn:aws:iam::111222333444:root" ] }, "Action": [ "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability" ] } ] }'
