"""Backups: a folder with the layers once, and the metadata of each moment in files that any engine can be filled from.

    FOLDER/objects/ab/cd/<object id>     layers as they lie in the store, shared by all snapshots
    FOLDER/snapshots/<instant>/          <table>.jsonl, objects.jsonl, and manifest.json, which is written last
    FOLDER/lock                          held by whoever changes the folder

A snapshot without its manifest was cut, and is none.
"""
