"""Conda: one JSON file in ``conda-meta/`` for each package of an environment.

Source: conda's documentation, "The conda-meta directory". No ecosystem of OSV is conda's; Python packages are told by
their ``dist-info`` besides.
"""

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import json_document, mapping, text
from openecr.scan.packages import FileFacts, Package


def _read(file: WantedFile) -> FileFacts:
    if not file.path.endswith(".json"):
        return FileFacts()
    record = mapping(json_document(file.text()))
    name, version = text(record.get("name")), text(record.get("version"))
    licenses = (text(record.get("license")),) if record.get("license") else ()
    return testimony([Package("conda", name, version, "conda", licenses=licenses)], file.limits)


CONDA = Cataloger("conda", 1, _read, folders=("conda-meta",))

CATALOGERS = (CONDA,)
