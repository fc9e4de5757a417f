"""What happened, for whoever must know of it: the audit trail."""
