#!/usr/bin/env bash
# findings.sh NAME TAG: wait for the scan's end; its summary, and the worst as a table
set -euo pipefail
asked=(--repository-name "$1" --image-id "imageTag=$2")
aws ecr wait image-scan-complete "${asked[@]}"
aws ecr describe-image-scan-findings "${asked[@]}" --output json --query '{
  Status: imageScanStatus.status,
  Counts: imageScanFindings.findingSeverityCounts,
  CompletedAt: imageScanFindings.imageScanCompletedAt
}'
aws ecr describe-image-scan-findings "${asked[@]}" --output table --query \
  'imageScanFindings.findings[?severity==`HIGH` || severity==`CRITICAL`].{Name:name,Severity:severity,About:description,URI:uri}'
