"""The indices of a server."""

import asyncio
import shutil
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
