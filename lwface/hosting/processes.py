"""One process of a hosted challenge: ``python -m lwface.hosting.processes web|score``, started by the server.

The site comes in the environment (:data:`lwface.hosting.site.VARIABLE`); the web's listening socket is inherited.
"""

from __future__ import annotations

import os
import signal
import sys

from lwface.hosting.limits import end_with_parent
from lwface.hosting.site import VARIABLE, site_of

WEB, SCORE = KINDS = ("web", "score")


def main() -> None:
    """Be one of :data:`KINDS` until told to stop."""
    kind, socket, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which tells this process to stop
    if kind == WEB:
        serve(socket)
    else:
        score()


def serve(socket: int) -> None:
    """Answer requests."""
    import uvicorn

    config = uvicorn.Config(
        "lwface.hosting.app:app_of_environment",
        factory=True,
        fd=socket,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=30,
        proxy_headers=True,  # of a proxy on this machine, and no other
    )
    uvicorn.Server(config).run()


def score() -> None:
    """Score."""
    from lwface.hosting.scorer import Scorer

    scorer = Scorer(site_of(os.environ[VARIABLE]))
    signal.signal(signal.SIGTERM, scorer.stop)
    scorer.run()


if __name__ == "__main__":
    main()
