"""Bytes by key over HTTP: what the client uploads and downloads beside its RPCs."""

from __future__ import annotations

import base64
import hashlib

from aiohttp import web
from modal_proto import api_pb2


class Blocks:
    """Blocks of volumes, and blobs: files above 4 MiB and large arguments."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self._runner: web.AppRunner | None = None
        self._address = ""

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        application = web.Application(client_max_size=1 << 30)
        application.router.add_put("/{key}", self._put)
        application.router.add_get("/{key}", self._get)
        self._runner = web.AppRunner(application, shutdown_timeout=1.0)  # by default a minute for who is still there
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._address = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def url(self, key: str) -> str:
        """Where a block is put and got."""
        return f"{self._address}/{key}"

    async def BlobCreate(self, request: api_pb2.BlobCreateRequest) -> api_pb2.BlobCreateResponse:
        key = base64.b64decode(request.content_sha256_base64).hex()
        return api_pb2.BlobCreateResponse(
            blob_ids=[key], upload_urls=api_pb2.UploadUrlList(items=[self.url(key)]), blob_id=key
        )

    async def BlobGet(self, request: api_pb2.BlobGetRequest) -> api_pb2.BlobGetResponse:
        return api_pb2.BlobGetResponse(download_url=self.url(request.blob_id))

    async def _put(self, request: web.Request) -> web.Response:
        data = await request.read()
        self.content[request.match_info["key"]] = data
        # The client compares a blob's ETag with the MD5 sum of what it sent.
        return web.Response(body=b"stored", headers={"ETag": f'"{hashlib.md5(data).hexdigest()}"'})

    async def _get(self, request: web.Request) -> web.Response:
        return web.Response(body=self.content[request.match_info["key"]])
