"""Workloads without secrets of IAM: tasks with a bearer token, and nodes with an address, get the sessions of a role."""
