"""S3 and what speaks like it. The only door to boto3's core.

What is done differently from a stock client, and why:
- Every connection goes through the address policy; no proxy, no redirect to another host or region is followed (the
  SDK would sign for wherever a bucket's answer points it).
- Keys come from the target alone. Environment, shared files and instance metadata are cut off, because the console's
  own identity must never act for a tenant.
- Authorities come from memory: nothing is written to disk.
- Checksums as Velero's plugin: on for AWS, off for other stores, many of which do not know them.
"""

from __future__ import annotations

import contextlib
import errno
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, TypeVar

import urllib3
from botocore.awsrequest import AWSHTTPConnectionPool, AWSHTTPSConnectionPool
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES as SESSION_VARIABLES
from botocore.credentials import CredentialResolver
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, HTTPClientError, ReadTimeoutError
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, IncompleteReadError
from botocore.httpsession import URLLib3Session, get_cert_path
from botocore.loaders import Loader
from botocore.parsers import ResponseParserError
from botocore.session import Session

from backups.storage.store import Listing
from backups.storage.target import StorageTarget
from backups.storage.trouble import Kind, StoreError, Trouble
from console.lib.addresses import AddressPolicy, console_error_in, guarded_pool_classes
from console.lib.errors import ConsoleError, Unreachable, clip
