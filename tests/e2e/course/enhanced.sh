#!/usr/bin/env bash
# enhanced.sh: the registry scans languages too, the application's repositories continuously
set -euo pipefail
aws ecr put-registry-scanning-configuration --scan-type ENHANCED --rules '[
  { "scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": [{ "filter": "myapp/*", "filterType": "WILDCARD" }] },
  { "scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{ "filter": "*", "filterType": "WILDCARD" }] }
]'
