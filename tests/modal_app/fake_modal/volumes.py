"""Volumes: a folder of committed files each; a container works on a copy, and what it commits is merged back."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2

from fake_modal.blocks import Blocks

BLOCK_SIZE = 8 * 1024 * 1024


class Volume:
    """What has been committed lies in `folder`."""

    def __init__(self, volume_id: str, name: str, folder: Path) -> None:
        self.id, self.name, self.folder = volume_id, name, folder
        folder.mkdir(parents=True)

    @property
    def metadata(self) -> api_pb2.VolumeMetadata:
        """As the client wants it."""
        return api_pb2.VolumeMetadata(version=api_pb2.VOLUME_FS_VERSION_V2, name=self.name)


class Checkout:
    """A container's copy of a volume."""

    def __init__(self, volume: Volume, folder: Path) -> None:
        self.volume, self.folder = volume, folder
        shutil.copytree(volume.folder, folder)
        self._base = dict(_files(folder))

    def commit(self) -> None:
        """Merge what has changed here since the last time; the last one to write a file wins."""
        current = dict(_files(self.folder))
        for name in self._base.keys() - current.keys():
            (self.volume.folder / name).unlink(missing_ok=True)
        for name, stamp in current.items():
            if self._base.get(name) != stamp:
                target = self.volume.folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    shutil.copy2(self.folder / name, target)
                except FileNotFoundError:  # gone while we looked
                    current.pop(name, None)
        folders = {path.relative_to(self.volume.folder) for path in self.volume.folder.rglob("*") if path.is_dir()}
        for name in sorted(folders, reverse=True):
            path = self.volume.folder / name
            if not (self.folder / name).exists() and not any(path.iterdir()):
                path.rmdir()
        self._base = current

    def reload(self) -> None:
        """See what others have committed."""
        shutil.copytree(self.volume.folder, self.folder, dirs_exist_ok=True)
        self._base = dict(_files(self.folder))


def _files(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                status = path.stat()
                yield str(path.relative_to(folder)), (status.st_mtime_ns, status.st_size)
        except FileNotFoundError:
            continue


class VolumeRPCs:
    """`modal volume put`, `ls`, `get`, `rm`, and finding volumes by name."""

    def __init__(self, folder: Path, blocks: Blocks) -> None:
        self._folder, self._blocks = folder, blocks
        self.volumes: dict[str, Volume] = {}

    def named(self, name: str) -> Volume:
        """The volume of a name, made when there is none."""
        for volume in self.volumes.values():
            if volume.name == name:
                return volume
        volume = Volume(f"vo-{len(self.volumes)}", name, self._folder / name)
        self.volumes[volume.id] = volume
        return volume

    async def VolumeGetOrCreate(self, request: api_pb2.VolumeGetOrCreateRequest) -> api_pb2.VolumeGetOrCreateResponse:
        known = any(volume.name == request.deployment_name for volume in self.volumes.values())
        if not known and request.object_creation_type == api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED:
            raise GRPCError(Status.NOT_FOUND, f"Volume '{request.deployment_name}' not found")
        volume = self.named(request.deployment_name)
        return api_pb2.VolumeGetOrCreateResponse(volume_id=volume.id, metadata=volume.metadata)

    async def VolumePutFiles2(self, request: api_pb2.VolumePutFiles2Request) -> api_pb2.VolumePutFiles2Response:
        missing = [
            api_pb2.VolumePutFiles2Response.MissingBlock(
                file_index=file_index, block_index=index, put_url=self._blocks.url(block.contents_sha256.hex())
            )
            for file_index, file in enumerate(request.files)
            for index, block in enumerate(file.blocks)
            if block.contents_sha256.hex() not in self._blocks.content
        ]
        if not missing:
            for file in request.files:
                target = self.volumes[request.volume_id].folder / file.path.strip("/")
                if request.disallow_overwrite_existing_files and target.exists():
                    raise GRPCError(Status.ALREADY_EXISTS, f"{file.path} already exists")
                target.parent.mkdir(parents=True, exist_ok=True)
                content = bytearray(file.size)  # clients leave a block's trailing zeros out
                for index, block in enumerate(file.blocks):
                    data = self._blocks.content[block.contents_sha256.hex()]
                    content[index * BLOCK_SIZE : index * BLOCK_SIZE + len(data)] = data
                target.write_bytes(content)
        return api_pb2.VolumePutFiles2Response(missing_blocks=missing)

    async def VolumeListFiles2(self, request: api_pb2.VolumeListFiles2Request):
        folder = self.volumes[request.volume_id].folder
        place = folder / request.path.strip("/")
        if not place.exists():
            raise GRPCError(Status.NOT_FOUND, f"No such file or directory: {request.path}")
        found = [place] if place.is_file() else place.rglob("*") if request.recursive else place.iterdir()
        kinds = api_pb2.FileEntry.FileType
        yield api_pb2.VolumeListFiles2Response(
            entries=[
                api_pb2.FileEntry(
                    path=str(path.relative_to(folder)),
                    type=kinds.DIRECTORY if path.is_dir() else kinds.FILE,
                    mtime=int(path.stat().st_mtime),
                    size=path.stat().st_size,
                )
                for path in sorted(found)
            ]
        )

    async def VolumeGetFile2(self, request: api_pb2.VolumeGetFile2Request) -> api_pb2.VolumeGetFile2Response:
        path = self.volumes[request.volume_id].folder / request.path.strip("/")
        if not path.is_file():
            raise GRPCError(Status.NOT_FOUND, f"No such file: {request.path}")
        data = path.read_bytes()
        urls = []
        for start in range(0, len(data), BLOCK_SIZE):
            block = data[start : start + BLOCK_SIZE]
            key = hashlib.sha256(block).hexdigest()
            self._blocks.content[key] = block
            urls.append(self._blocks.url(key))
        return api_pb2.VolumeGetFile2Response(get_urls=urls, size=len(data), start=0, len=len(data))

    async def VolumeRemoveFile2(self, request: api_pb2.VolumeRemoveFile2Request) -> Empty:
        path = self.volumes[request.volume_id].folder / request.path.strip("/")
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return Empty()
