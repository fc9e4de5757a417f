"""Where workloads get their role's credentials: an endpoint for containers, and one shaped as EC2's metadata."""
