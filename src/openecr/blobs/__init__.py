"""Where layers' bytes live: the protocol in ``store``, one file per backend."""
