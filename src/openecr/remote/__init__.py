"""What openecr asks of other machines on its own account."""
