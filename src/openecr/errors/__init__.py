"""One tree of errors, rendered by each protocol in its own way.

    RegistryError                      what every client may be told
    ├── ProtocolError                  the request never reached an operation: signature, scope, body
    ├── AccessDenied                   the decision of ``access``
    ├── InvalidParameter / ValidationFailed
    └── one class per exception of the ECR service model that openecr raises

An error names what went wrong and carries its name on each plane; it does not know how an answer is built. ``code`` is
the exception's name in the service model, ``oci`` the distribution error code and status, ``template`` the text that
clients parse. Source of the texts: ECR's observed answers, gathered in the behaviour reference; see docs/differences.md
for the few that AWS does not document.
"""

from openecr.errors.access import *
from openecr.errors.base import *
from openecr.errors.identities import *
from openecr.errors.images import *
from openecr.errors.keys import *
from openecr.errors.layers import *
from openecr.errors.parameters import *
from openecr.errors.repositories import *
from openecr.errors.requests import *
