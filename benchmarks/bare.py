"""What is measured against: the least that FastAPI does for the same request and the same bytes, and no framework at all.

python -m benchmarks.bare <port> <fastapi|nothing> <file with the bytes>
"""

import asyncio
import sys
from pathlib import Path
from typing import cast

import uvicorn
import uvloop
from fastapi import FastAPI, Response

from api.requests import RecommendationRequest
from api.serving import listen


def create(answer: bytes) -> FastAPI:
    """One endpoint that reads the same request by the same model, and answers the same bytes."""
    app = FastAPI()

    @app.post("/v1/recommendations")
    async def recommend(request: RecommendationRequest) -> Response:  # noqa: ARG001  reading it is the work
        return Response(answer, media_type="application/json")

    return app


def serve(app: FastAPI, port: int) -> None:
    """Serve as `assent serve` does."""
    config = uvicorn.Config(app, access_log=False, log_level="warning", server_header=False)
    uvloop.run(uvicorn.Server(config).serve(sockets=[listen("127.0.0.1", port)]))


class Nothing(asyncio.Protocol):
    """Answers the same bytes to whatever comes: what is left is the load generator's own speed."""

    def __init__(self, answer: bytes) -> None:
        self._answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from it

    def data_received(self, data: bytes) -> None:  # noqa: ARG002  whatever it says
        """Answer."""
        self._transport.write(self._answer)


async def _nothing(answer: bytes, port: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Nothing(answer), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    port, kind, answer = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_bytes()
    if kind == "nothing":
        uvloop.run(_nothing(answer, port))
    else:
        serve(create(answer), port)
