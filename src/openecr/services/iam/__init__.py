"""AWS Identity and Access Management: identities, keys and policies of an account, whichever region asks."""
