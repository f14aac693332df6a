"""
Does Foolscap's remote procedure call reach a server by a C{utp:} hint?

C{upload.py FURL FILE...} hands files to the C{upload-file} service of a C{flappserver}, all at once.  What a hint of
another kind than C{tcp:} means a program tells its tub; the rest is Foolscap's own client.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from foolscap.api import Tub
from foolscap.appserver.client import Uploader
from foolscap.ipb import IConnectionHintHandler
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import clientFromString
from twisted.internet.task import react
from zope.interface import implementer


@implementer(IConnectionHintHandler)
class EndpointStrings:
    """
    The hint is one.
    """

    def hint_to_endpoint(self, hint: str, reactor: Any, update_status: Any) -> tuple[Any, str]:
        """See L{IConnectionHintHandler}."""
        return clientFromString(reactor, hint), hint.split(":")[1]


async def main(reactor: Any, furl: str, *files: str) -> None:
    """One connection, several files."""
    tub = Tub()
    tub.addConnectionHintHandler("utp", EndpointStrings())
    tub.startService()
    service = await tub.getReference(furl)
    await gatherResults([Uploader().run(service, name, Path(name).name) for name in files])
    await tub.stopService()
    print("all uploaded")


if __name__ == "__main__":
    react(lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:])
