"""Text that may be shown: without what proves to a server who asks."""

import os
import re

NAMES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID")


def without_secrets(text: str) -> str:
    """The same, without the environment's keys, signatures, and users and passwords in addresses."""
    for name in NAMES:
        value = os.environ.get(name, "")
        if len(value) > 3:
            text = text.replace(value, "…")
    text = re.sub(r"//[^/@\s]*@", "//…@", text)
    return re.sub(r"(?i)(signature|credential|security-token)=[^\s,&'\"]+", r"\1=…", text)
