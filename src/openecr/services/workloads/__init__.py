"""Workloads without secrets of IAM: tasks by a bearer token, and nodes by their address, get the sessions of a role."""
