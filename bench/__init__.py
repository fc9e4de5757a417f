"""openecr side by side with Debian's docker-registry: ``python -m bench``."""
