"""Which runs stand in a bucket. The one thing of huelapse that lists anything elsewhere."""

from huelapse.errors import NotARunError, PlaceError
from huelapse.store import layout
from huelapse.store.forked import tensorstore
from huelapse.store.places import RETRIES, bucket_store, unreachable

LIST_SECONDS = 120.0
"""How long is listed: some million names. S3 gives a thousand at a time, chunks of runs among them."""


def runs_in_bucket(address: str, depth: int) -> list[str]:
    """Addresses of the runs at or below `s3://bucket/prefix`, in order.

    S3 could tell what stands directly below a prefix; the library that reads from it can only list
    everything, every chunk of every run too.

    Args:
        address: of a folder in a bucket, or of the bucket.
        depth: how many names may stand between that and a run's own.

    Raises:
        NotARunError: it names no bucket.
        PlaceError: it can't be reached, may not be listed, or holds too much to be listed in time.
    """
    bucket, _, prefix = address[len("s3://") :].partition("/")
    prefix = prefix.strip("/")
    if not bucket or "@" in bucket or "?" in address:
        raise NotARunError(
            "expected s3://bucket or s3://bucket/folder; endpoint and credentials come from "
            "AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    below = f"{prefix}/" if prefix else ""
    root = f"{layout.ROOT}/{layout.GROUP_FILE}"
    ts = tensorstore()
    try:
        context = ts.Context({"s3_request_retries": RETRIES})
        opening = ts.KvStore.open(bucket_store(bucket, below), context=context)
        store = opening.result(timeout=LIST_SECONDS)
        if store.read(root).result(timeout=LIST_SECONDS).state == "value":
            return [f"s3://{bucket}/{prefix}".rstrip("/")]  # a run itself: nothing need be listed
        listing = store.list()
        try:
            keys: list[bytes] = listing.result(timeout=LIST_SECONDS)
        except TimeoutError as error:
            listing.cancel()
            raise PlaceError(
                f"s3://{bucket}/{prefix} holds more than could be listed in {LIST_SECONDS:.0f} s: "
                f"name a folder with less in it, or a run itself"
            ) from error
    except (ValueError, TimeoutError) as error:
        raise unreachable(f"s3://{bucket}/{prefix}", error) from error
    names = (key.decode(errors="replace") for key in keys)
    found = [name.removesuffix(f"/{root}") for name in names if name.endswith(f"/{root}")]
    return [f"s3://{bucket}/{below}{run}" for run in sorted(found) if run.count("/") < depth]
