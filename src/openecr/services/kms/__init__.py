"""AWS Key Management Service: what ECR's users call of it, over keys that openecr holds itself."""
