"""Looking after runs on disk: which there are, whether they are whole, and removing them.

Each has a command of its own: `huelapse ls`, `huelapse verify`, `huelapse rm`. See docs/care.md.
"""

from huelapse.care.removing import Removal, plan_removal, remove
from huelapse.care.verifying import Damage, Report, Verification, verify
from huelapse.listing import Listed, list_runs

__all__ = [
    "Damage",
    "Listed",
    "Removal",
    "Report",
    "Verification",
    "list_runs",
    "plan_removal",
    "remove",
    "verify",
]
