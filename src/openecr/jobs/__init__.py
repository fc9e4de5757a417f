"""Background work: ``queue`` owes it inside a decision, ``worker`` does it, ``schedule`` owes it again and again.

Nothing here knows ECR: ``app`` hands the worker a handler for each kind of job.
"""
