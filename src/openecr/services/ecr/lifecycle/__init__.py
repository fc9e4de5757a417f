"""Lifecycle policies: ``policy`` reads the text, ``evaluation`` judges images by it; both are pure."""
