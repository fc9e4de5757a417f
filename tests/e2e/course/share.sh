#!/usr/bin/env bash
# share.sh NAME: let two other accounts pull, whether or not this deployment has them
set -euo pipefail
aws ecr set-repository-policy --repository-name "$1" --policy-text '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "AllowCrossAccountPull",
      "Effect": "Allow",
      "Principal": {
        "AWS": [
          "arn:aws:iam::987654321098:root",
          "arn:aws:iam::111222333444:root"
        ]
      },
      "Action": [
        "ecr:GetDownloadUrlForLayer",
        "ecr:BatchGetImage",
        "ecr:BatchCheckLayerAvailability"
      ]
    }
  ]
}'
