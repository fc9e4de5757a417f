"""Metadata: one schema, one set of queries, and the engines that run them.

``connection`` says what a query may ask of an engine, ``sqlite`` is the embedded engine, ``migrations`` moves a
database forward. The other files hold the queries, one file per aggregate; each takes the open connection first and
returns frozen records.
"""
