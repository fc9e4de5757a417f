"""VPC endpoint policies: what may be asked through an endpoint, by whom."""

from openecr.bounded_json import BadJson, parse
from openecr.services.ec2 import refusals

FULL_ACCESS = """{
  "Statement": [
    {
      "Action": "*", 
      "Effect": "Allow", 
      "Principal": "*", 
      "Resource": "*"
    }
  ]
}"""
"""What an endpoint without a policy of its own has (VPC user guide, "Default endpoint policy")."""
