"""What ``openecr scan`` and ``openecr sbom`` read beside a server: folders, layouts, saved images, stored images.

folder.py        a root file system or a project → one layer, streamed to the engine
layouts.py       OCI image layouts, in a folder or a tar
docker_save.py   tars of ``docker save``
stored.py        images of a deployment
judging.py       what was read → findings, and what could not be judged

Everything that is read goes through the engine's child process, as an image of the registry does.
"""
