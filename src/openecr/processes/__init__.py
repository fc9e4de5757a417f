"""The processes of a server, and how they watch over each other.

    openecr serve ─ parent: checks, migrates, binds the port, answers no request
       ├─ workers     accept on sockets that the parent holds open, so that a death loses no waiting connection
       └─ job process background work, niced

The parent starts again whatever dies, replaces workers one by one on SIGHUP, and drains them on SIGTERM. Whatever ends
the parent, ``kill -9`` too, ends the others. ``openecr worker`` is one more job process, on its own.
"""
