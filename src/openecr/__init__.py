"""openecr: a self-hosted Elastic Container Registry."""

__version__ = "0.1.0"
