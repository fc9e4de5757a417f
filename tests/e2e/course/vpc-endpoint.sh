#!/usr/bin/env bash
# A private way from two subnets to the registry's Docker side.
set -euo pipefail
aws ec2 create-vpc-endpoint \
  --vpc-id vpc-12345678 \
  --vpc-endpoint-type Interface \
  --service-name "com.amazonaws.$REGION.ecr.dkr" \
  --subnet-ids subnet-11112222 subnet-33334444 \
  --security-group-ids sg-55556666
