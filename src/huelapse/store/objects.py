"""Objects in a folder of a bucket: written, read in bounded memory, listed, removed.

Nothing here knows what they mean. Endpoint, region and credentials are those of the environment.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from uuid import uuid4

from huelapse.errors import OptionError, PartialError, PlaceError
from huelapse.store.forked import tensorstore
from huelapse.store.places import RETRIES, SAID, bucket_store
from huelapse.store.secret import without_secrets

PATIENT: dict[str, Any] = {"max_retries": 8, "initial_delay": "500ms", "max_delay": "20s"}
"""A fault that passes within a minute or two costs nothing that has been computed."""
SECONDS = 300.0
"""How long is waited for one object, retries and all."""
TRIAL_SECONDS = 30.0
LIST_SECONDS = 300.0
AT_ONCE = 32
"""Objects removed at a time."""
TRIAL = ".trial-"
"""What an object is called by which a bucket is tried."""


class Objects:
    """A folder in a bucket."""

    def __init__(self, address: str) -> None:
        """
        Args:
            address: `s3://bucket/key`.

        Raises:
            OptionError: it is none, or holds a password.
        """
        bucket, _, key = address.removeprefix("s3://").partition("/")
        key = key.strip("/")
        known = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", bucket) and address.startswith("s3://")
        odd = any(part in ("", ".", "..") for part in key.split("/"))
        if not known or odd or re.search(r"[?#@\\\x00-\x1f]", key):
            raise OptionError(
                f"{without_secrets(address)!r} is no folder in a bucket: expected s3://bucket/key; "
                f"endpoint and credentials come from AWS_ENDPOINT_URL, AWS_REGION, "
                f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        self._bucket, self._key = bucket, key
        self.name = f"s3://{bucket}/{key}"
        self._stores: dict[int, Any] = {}

    def try_out(self, *, writing: bool = True) -> None:
        """See that the bucket is there and may be used: a small object is written, read back, listed
        and removed, before anything long is begun.

        Args:
            writing: otherwise it is only listed, and a removal asked of what is not there.

        Raises:
            PlaceError: it cannot be reached, or something of it may not be done.
        """
        key, content = f"{TRIAL}{uuid4().hex}", uuid4().hex.encode()
        store = self._store(patient=False)
        given = content
        try:
            if writing:
                self._result("written to", store.write(key, content), TRIAL_SECONDS)
                given = self._result("read", store.read(key), TRIAL_SECONDS).value
            listed: Any = self._result("listed", self._listing(store, key), TRIAL_SECONDS)
        except PlaceError:
            with suppress(PlaceError):
                self._result("removed from", store.write(key, None), TRIAL_SECONDS)
            raise
        self._result("removed from", store.write(key, None), TRIAL_SECONDS)
        if writing and (given != content or not listed):
            raise PlaceError(
                f"{self.name} does not give back what was written to it: is AWS_ENDPOINT_URL that of "
                f"an S3?"
            )

    def put(self, key: str, content: bytes) -> None:
        """Write an object; it is there as a whole, or not at all.

        Raises:
            PlaceError: it cannot be, after some tries.
        """
        self._result("written to", self._store().write(key, content), SECONDS)

    def get(self, key: str, size: int) -> bytes | None:
        """The first `size` bytes of an object, never more; None where there is none.

        Raises:
            PartialError: it has fewer.
            PlaceError: it cannot be read, after some tries.
        """
        read = self._store().read(key, byte_range=slice(0, size) if size else None)
        try:
            found = self._result("read", read, SECONDS)
        except PlaceError as error:
            if _is_short(error.__cause__):
                raise PartialError(f"{self.name}/{key} is cut short") from error
            raise
        if found.state != "value":
            return None
        if len(found.value) != size:
            raise PartialError(f"{self.name}/{key} is cut short")
        return found.value

    def names(self, below: str = "") -> list[str]:
        """Of all objects that begin so, in order.

        Raises:
            PlaceError: they cannot be listed.
        """
        listing = self._listing(self._store(), below)
        found: list[bytes] = self._result("listed", listing, LIST_SECONDS)
        return sorted(key.decode(errors="replace") for key in found)

    def remove(self, keys: Iterable[str]) -> None:
        """Those that are not there are no fault.

        Raises:
            PlaceError: they cannot be removed.
        """
        every = list(keys)
        for first in range(0, len(every), AT_ONCE):
            some = every[first : first + AT_ONCE]
            removing = [self._store().write(key, None) for key in some]
            for one in removing:
                self._result("removed from", one, SECONDS)

    def _listing(self, store: Any, below: str) -> Any:
        ts = tensorstore()
        end = below[:-1] + chr(ord(below[-1]) + 1) if below else ""
        return store.list(ts.KvStore.KeyRange(inclusive_min=below, exclusive_max=end))

    def _store(self, *, patient: bool = True) -> Any:
        if patient not in self._stores:
            ts = tensorstore()
            context = ts.Context({"s3_request_retries": PATIENT if patient else RETRIES})
            spec = bucket_store(self._bucket, f"{self._key}/")
            self._stores[patient] = self._result(
                "opened", ts.KvStore.open(spec, context=context), TRIAL_SECONDS
            )
        return self._stores[patient]

    def _result(self, doing: str, future: Any, seconds: float) -> Any:
        try:
            return future.result(timeout=seconds)
        except (ValueError, TimeoutError, OSError) as error:
            future.cancel()
            raise self._refused(doing, error) from error

    def _refused(self, doing: str, error: Exception) -> PlaceError:
        said = without_secrets(" ".join(str(error).split()))
        if re.search(r"\bNoSuchBucket\b", said):
            return PlaceError(
                f"{self.name} cannot be {doing}: there is no bucket {self._bucket} at this "
                f"endpoint; check the address, AWS_ENDPOINT_URL and AWS_REGION"
            )
        if re.search(r"\bPERMISSION_DENIED\b|http_response_code='40[13]'", said):
            return PlaceError(
                f"{self.name} may not be {doing} (403): check AWS_ACCESS_KEY_ID and "
                f"AWS_SECRET_ACCESS_KEY; they need the rights s3:PutObject, s3:GetObject, "
                f"s3:DeleteObject and s3:ListBucket there"
            )
        if isinstance(error, TimeoutError):
            said = "no answer in time"
        return PlaceError(
            f"{self.name} cannot be {doing}: {said[:SAID]}. Are the address, AWS_ENDPOINT_URL and "
            f"AWS_REGION right, the server running, and this machine online?"
        )


def _is_short(error: BaseException | None) -> bool:
    """Whether an object had fewer bytes than were asked for."""
    said = str(error)
    return "OUT_OF_RANGE" in said or "http_response_code='416'" in said
