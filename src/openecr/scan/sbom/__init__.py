"""Software bills of materials of an image: CycloneDX 1.6 and SPDX 2.3, as JSON.

The same image, inventory and time give the same bytes. Writers of our own: the documents are plain dictionaries, the
libraries for them weigh megabytes and are for the tests.
"""
