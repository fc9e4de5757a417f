"""Swift and Apple's platforms: Package.resolved of the Swift package manager, Podfile.lock of CocoaPods."""

import re

from openecr.scan.cataloger import Cataloger, WantedFile
from openecr.scan.catalogers.testimony import testimony
from openecr.scan.documents import items, json_document, mapping, text, yaml_document
from openecr.scan.packages import FileFacts, Package

_REMOTE = re.compile(r"(?:[a-z+]{1,16}://)?(?:[^/@]*@)?(?P<host>[^/:@]+)(?::[0-9]{1,5}(?=/))?[:/](?P<path>[^?#]+)")
_POD = re.compile(r"(?P<name>[^\s()]+) \((?P<version>[^()\s=<>~,]+)\)")


def _read_resolved(file: WantedFile) -> FileFacts:
    """Pins with a version, by the address of their repository: ``host/owner/name``, as advisories are keyed.

    Versions 1 (``object.pins``, ``repositoryURL``), 2 and 3 (``pins``, ``location``) of the file. Pins of a branch or
    a revision have no version; those of a package registry have no address.
    """
    document = mapping(json_document(file.text()))
    found = []
    for row in items(mapping(document.get("object", document)).get("pins")):
        pin = mapping(row)
        name = _repository(text(pin.get("location") or pin.get("repositoryURL")))
        version = text(mapping(pin.get("state")).get("version"))
        if name and version:
            found.append(Package("SwiftURL", name, version, "swift-resolved", declared=True))
    return testimony(found, file.limits)


def _repository(location: str) -> str:
    match = _REMOTE.fullmatch(location[:2048])
    if match is None or location.startswith(("/", ".")):
        return ""
    return f"{match['host'].lower()}/{match['path'].strip('/').removesuffix('.git')}"


def _read_podfile(file: WantedFile) -> FileFacts:
    """``PODS``: ``Name/Subspec (1.0)``, with or without what each needs; those from a path or git are left out.

    Source: CocoaPods' guides, "Using CocoaPods" (Podfile.lock).
    """
    document = mapping(yaml_document(file.text()))
    elsewhere = mapping(document.get("EXTERNAL SOURCES"))
    found = []
    for entry in items(document.get("PODS")):
        pod = next(iter(entry), "") if isinstance(entry, dict) else text(entry)
        match = _POD.fullmatch(pod)
        if match is not None and match["name"].partition("/")[0] not in elsewhere:
            found.append(Package("CocoaPods", match["name"], match["version"], "podfile-lock", declared=True))
    return testimony(found, file.limits)


SWIFT_RESOLVED = Cataloger("swift-resolved", 1, _read_resolved, names=("Package.resolved",))
PODFILE_LOCK = Cataloger("podfile-lock", 1, _read_podfile, names=("Podfile.lock",))

CATALOGERS = (SWIFT_RESOLVED, PODFILE_LOCK)
