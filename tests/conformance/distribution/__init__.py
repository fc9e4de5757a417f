"""What the OCI distribution specification 1.1 asks of a registry, as its conformance suite checks it, and ECR's edges.

Each test names the part of the specification it is about. The suite itself is run by hand; whatever it checks has a
test here, so that no change breaks it unnoticed.
"""
