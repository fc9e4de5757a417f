"""Amazon ECR: one file per capability. Operations are listed in ``operations``."""
