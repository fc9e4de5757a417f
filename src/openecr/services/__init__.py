"""The operations, a folder per AWS service, named as botocore names it."""
