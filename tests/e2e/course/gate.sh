#!/usr/bin/env bash
# gate.sh NAME TAG: no critical findings, and at most five high ones. OR is what stands between a count and its default;
# the course prints //, which is no JMESPath: every question then fails, and every comparison with it
or=${OR:-||}
count() {
  aws ecr describe-image-scan-findings --repository-name "$1" --image-id "imageTag=$2" --output text \
    --query "imageScanFindings.findingSeverityCounts.$3 $or \`0\`"
}
critical=$(count "$1" "$2" CRITICAL)
high=$(count "$1" "$2" HIGH)
if [ "$critical" -gt 0 ]; then
  echo "BLOCKED: $critical critical"
  exit 1
fi
if [ "$high" -gt 5 ]; then
  echo "BLOCKED: $high high, at most 5"
  exit 1
fi
echo "PASSED: $critical critical, $high high"
