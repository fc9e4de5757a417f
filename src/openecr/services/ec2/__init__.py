"""Amazon EC2: VPCs and what is in them, as far as it decides who may reach the registry (decision 0019)."""
