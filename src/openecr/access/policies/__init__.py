"""IAM's policy language, pure: ``document`` reads, ``conditions`` and ``globs`` match, ``evaluation`` decides."""
