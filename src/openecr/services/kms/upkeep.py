"""Keys whose waiting period is over lose their material; keys that were named before there was a KMS are made."""

from functools import partial

from openecr.db import deployment, kms, repositories
from openecr.db.connection import Connection, Database
from openecr.db.repositories import UnmadeKey
from openecr.keyring import Keyring
from openecr.names import RegistryName
from openecr.services.kms import key_names, keys
from openecr.services.kms.for_ecr import MANAGED_ALIAS, managed_key

_BATCH = 100
_ADOPTED = "kms_keys_adopted"


async def destroy_due_keys(database: Database, now_us: int) -> int:
    """Destroy the material of keys whose pending deletion is due on the rules' clock; how many."""
    destroyed = 0
    while due := await database.read(lambda db: kms.due_for_deletion(db, now_us, _BATCH)):
        destroyed += await database.write(partial(_destroy, due=due, now_us=now_us))
    return destroyed


def _destroy(db: Connection, due: list[int], now_us: int) -> int:
    return sum(kms.destroy(db, key, now_us) for key in due)


def adopt_named_keys(db: Connection, keyring: Keyring, now_us: int) -> None:
    """Make the keys that repositories name from when no KMS was asked: once a deployment, before anything is served.

    A name in the registry's own account and region is kept as its key's alias; the ARN is the new key's.
    """
    if deployment.find(db, _ADOPTED) is not None:
        return
    for named in repositories.unmade_kms_keys(db):
        made = _adopt(db, keyring, named, now_us)
        repositories.replace_kms_key(db, named.registry_key, named.arn, made.arn)
    deployment.put(db, _ADOPTED, str(now_us))


def _adopt(db: Connection, keyring: Keyring, named: UnmadeKey, now_us: int) -> kms.Key:
    owner = RegistryName(named.account_id, named.region)
    alias = named.arn.removeprefix(key_names.arn(owner, ""))
    if alias == MANAGED_ALIAS:
        return managed_key(db, keyring, owner, now_us)
    made = keys.make(db, keyring, owner, kms.CUSTOMER_MANAGED, f"was named {named.arn}", now_us)
    if key_names.ALIAS.fullmatch(alias):
        kms.insert_alias(db, owner, alias, made.key, now_us)
    return made
