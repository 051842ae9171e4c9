"""S3's objects in files of their own.

LocalStack keeps them in nameless temporary files, which end with it. Here each has a path that
follows from its bucket, key and version, so that it is found again:

    BUCKET/objects/SHA256(KEY?VERSION)
    BUCKET/uploads/UPLOAD/PART-RANDOM
"""

import contextlib
import hashlib
import os
import shutil
import uuid

from localstack.services.s3.storage import ephemeral

from owner import give, make_dirs

# How much of an object is read or written at a time.
PIECE = 1 << 20


class ObjectFile(ephemeral.LockedFileMixin):
    """A file as EphemeralS3StoredObject uses it. Open only while it is read or written: there may
    be more objects than file descriptors."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self._position = 0
        if not os.path.exists(path):
            make_dirs(os.path.dirname(path))
            with open(path, "ab"):
                pass
            give(path)

    def tell(self):
        return self._position

    def seekable(self):
        return True

    def seek(self, offset, whence=os.SEEK_SET):
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        if base is None:
            base = os.path.getsize(self.path)
        self._position = base + offset
        return self._position

    def read(self, size=-1):
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self._position)
            data = file.read(size)
        self._position += len(data)
        return data

    def write(self, data):
        with open(self.path, "r+b") as file:
            file.seek(self._position)
            file.write(data)
        self._position += len(data)
        return len(data)

    def truncate(self, size=None):
        size = self._position if size is None else size
        os.truncate(self.path, size)
        return size

    def close(self):
        """LocalStack closes what is deleted."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


class Upload(ephemeral.EphemeralS3StoredMultipart):
    """A multipart upload whose parts are files, one for each time that a part is sent: of two
    requests with one number, the one that breaks off must not harm the one that does not."""

    def open(self, s3_part, mode="r"):
        return ephemeral.EphemeralS3StoredObject(s3_part, self._file(s3_part), mode=mode)

    def remove_part(self, s3_part):
        self._file(s3_part).close()
        self.parts.pop(s3_part.file_name, None)

    def _file(self, s3_part):
        # Kept with the part when LocalStack's state is saved.
        if not hasattr(s3_part, "file_name"):
            s3_part.file_name = f"{s3_part.part_number}-{uuid.uuid4().hex}"
        name = s3_part.file_name
        if name not in self.parts:
            self.parts[name] = ObjectFile(os.path.join(self.upload_dir, name))
        return self.parts[name]


class Objects(ephemeral.EphemeralS3ObjectStore):
    """All objects. The dictionaries of the base class are a cache of what has been opened."""

    def open(self, bucket, s3_object, mode="r"):
        return ephemeral.EphemeralS3StoredObject(
            s3_object, self._file(bucket, s3_object), mode=mode
        )

    def remove(self, bucket, s3_object):
        for one in s3_object if isinstance(s3_object, list) else [s3_object]:
            path = self._path(bucket, one)
            self._filesystem[bucket]["keys"].pop(path, None)
            # Delete markers have no bytes.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def get_multipart(self, bucket, s3_multipart):
        with self._lock_multipart_create:
            uploads = self._filesystem[bucket]["multiparts"]
            if s3_multipart.id not in uploads:
                folder = self._create_upload_directory(bucket, s3_multipart.id)
                uploads[s3_multipart.id] = Upload(self, bucket, s3_multipart, folder)
            return uploads[s3_multipart.id]

    def create_bucket(self, bucket):
        make_dirs(os.path.join(self.root_directory, bucket))

    def delete_bucket(self, bucket):
        self._filesystem.pop(bucket, None)
        shutil.rmtree(os.path.join(self.root_directory, bucket), ignore_errors=True)

    def close(self):
        """At LocalStack's end: the files stay."""

    def reset(self):
        super().close()

    def _file(self, bucket, s3_object):
        path = self._path(bucket, s3_object)
        # Two requests must not get two files, whose locks would not know each other.
        with self._lock_multipart_create:
            files = self._filesystem[bucket]["keys"]
            if path not in files:
                files[path] = ObjectFile(path)
            return files[path]

    def _path(self, bucket, s3_object):
        name = f"{s3_object.key}?{s3_object.version_id or 'null'}"
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        return os.path.join(self.root_directory, bucket, "objects", digest)

    def _create_upload_directory(self, bucket, upload):
        folder = os.path.join(self.root_directory, bucket, "uploads", upload)
        make_dirs(folder)
        return folder

    def _delete_upload_directory(self, bucket, upload):
        shutil.rmtree(
            os.path.join(self.root_directory, bucket, "uploads", upload), ignore_errors=True
        )


def install(root):
    """Makes LocalStack's S3 keep its objects below `root`."""
    from localstack.services.s3 import provider

    make_dirs(root)
    # Each piece crosses two threads and an event loop: of 64 KiB, a gigabyte was six seconds.
    ephemeral.S3_CHUNK_SIZE = PIECE
    provider.DEFAULT_S3_TMP_DIR = root
    provider.EphemeralS3ObjectStore = Objects
