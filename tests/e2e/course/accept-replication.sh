#!/usr/bin/env bash
# accept-replication.sh: in the destination account: let the account that builds copy its repositories here
set -euo pipefail
aws ecr put-registry-policy --policy-text '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "AllowReplicationFrom",
      "Effect": "Allow",
      "Principal": { "AWS": "arn:aws:iam::123456789012:root" },
      "Action": [ "ecr:CreateRepository", "ecr:ReplicateImage" ],
      "Resource": "arn:aws:ecr:*:987654321098:repository/*"
    }
  ]
}'
