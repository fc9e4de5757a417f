#!/usr/bin/env bash
# lifecycle.sh NAME: keep the ten newest versions; look at what would go before it goes
set -euo pipefail
aws ecr put-lifecycle-policy --repository-name "$1" --lifecycle-policy-text '{
  "rules": [
    {
      "rulePriority": 1,
      "description": "Ten versions",
      "selection": {
        "tagStatus": "tagged", "tagPrefixList": ["v"], "countType": "imageCountMoreThan", "countNumber": 10
      },
      "action": { "type": "expire" }
    },
    {
      "rulePriority": 2,
      "description": "Nothing untagged for more than a day",
      "selection": {
        "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1
      },
      "action": { "type": "expire" }
    }
  ]
}' > /dev/null
aws ecr get-lifecycle-policy --repository-name "$1" --query 'lifecyclePolicyText' --output text | python3 -m json.tool > /dev/null
aws ecr start-lifecycle-policy-preview --repository-name "$1" > /dev/null
aws ecr wait lifecycle-policy-preview-complete --repository-name "$1"
aws ecr get-lifecycle-policy-preview --repository-name "$1" --output json \
  --query 'previewResults[*].{Tag:imageTags[0],Action:action.type,AppliedRule:appliedRulePriority}'
