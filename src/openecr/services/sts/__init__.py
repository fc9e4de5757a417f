"""AWS Security Token Service: what ECR's users call of it."""
