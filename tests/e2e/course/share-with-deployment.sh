#!/usr/bin/env bash
# share-with-deployment.sh NAME: let the deployment account pull, by a policy in a file, and look at what was applied
set -euo pipefail
cat > repo-policy.json <<'POLICY'
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "AllowCrossAccountPull",
      "Effect": "Allow",
      "Principal": { "AWS": "arn:aws:iam::999988887777:root" },
      "Action": [
        "ecr:GetDownloadUrlForLayer",
        "ecr:BatchGetImage",
        "ecr:BatchCheckLayerAvailability"
      ]
    }
  ]
}
POLICY
aws ecr set-repository-policy --repository-name "$1" --policy-text file://repo-policy.json
aws ecr get-repository-policy --repository-name "$1" --query policyText --output text | python3 -m json.tool
