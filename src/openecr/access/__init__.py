"""Who calls, from where, and may they: signatures, tokens, presigned URLs, identities and the decision."""
