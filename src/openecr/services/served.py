"""The AWS services that openecr serves, and the operations of each that are built.

A new service is a folder beside this file and a line here: the api plane, ``openecr env`` and the generated reference
follow.
"""

import botocore.session

from openecr.call import Operation
from openecr.services.ec2.operations import OPERATIONS as EC2
from openecr.services.ecr.operations import OPERATIONS as ECR
from openecr.services.iam.operations import OPERATIONS as IAM
from openecr.services.kms.operations import OPERATIONS as KMS
from openecr.services.sts.operations import OPERATIONS as STS
from openecr.settings import Settings

SERVICES: dict[str, dict[str, Operation]] = {"ec2": EC2, "ecr": ECR, "iam": IAM, "kms": KMS, "sts": STS}


def served_regions(settings: Settings) -> frozenset[str]:
    """The regions that botocore knows for ECR, and the deployment's own."""
    session = botocore.session.get_session()
    known = {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ecr", partition, allow_non_regional=False)
    }
    return frozenset(known | {settings.region})
