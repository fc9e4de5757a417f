"""The dkr plane: the OCI distribution specification 1.1 and Docker's registry protocol, over ECR's operations.

``plane`` authenticates and dispatches, ``routes`` reads paths, ``http`` holds one request, ``render`` writes answers
and errors; the other files are one noun each. A plane holds no rule.
"""
