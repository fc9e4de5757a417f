"""The measurements, in the order in which they run: one file each."""

from bench.measurement import Measurement
from bench.measurements.blob_get import BlobGet
from bench.measurements.blob_push import BlobPush
from bench.measurements.collection import Collection
from bench.measurements.collection_load import CollectionLoad
from bench.measurements.encryption import Encryption
from bench.measurements.expiry import Expiry
from bench.measurements.indexing import Indexing
from bench.measurements.large_layer import LargeLayer
from bench.measurements.lifecycle import Lifecycle
from bench.measurements.manifest_get import ManifestGet
from bench.measurements.many_images import ManyImages
from bench.measurements.memory import Memory
from bench.measurements.policy_decisions import PolicyDecisions
from bench.measurements.rescan import Rescan
from bench.measurements.shared_base import SharedBase
from bench.measurements.shared_database import SharedDatabase
from bench.measurements.small_images import SmallImages
from bench.measurements.storm import Storm
from bench.measurements.tags_list import TagsList
from bench.measurements.vulnerability_database import VulnerabilityDatabase

MEASUREMENTS: tuple[Measurement, ...] = (
    ManifestGet(),
    BlobGet(),
    BlobPush(),
    Encryption(),
    SmallImages(),
    TagsList(),
    Storm(),
    Memory(),
    PolicyDecisions(),
    Indexing(),
    Lifecycle(),
    VulnerabilityDatabase(),
    LargeLayer(),
    SharedDatabase(),
    ManyImages(),
    Collection(),
    CollectionLoad(),
    SharedBase(),
    Rescan(),
    Expiry(),
)
