"""A pytest plugin that turns Google's own clients towards an emulator, and nothing else.

    python -m pytest -p redirect tests/system        with BIGQUERY_EMULATOR_HOST=http://127.0.0.1:PORT

No test and no client is changed: credentials come out anonymous, gRPC channels go to the emulator in plain text, and the
REST client follows BIGQUERY_EMULATOR_HOST by itself.
"""

import os

import google.auth
import google.auth.credentials
import grpc
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import grpc as v1_read
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import grpc as v1_write
from google.cloud.bigquery_storage_v1beta2.services.big_query_read.transports import grpc as beta_read

PROJECT = os.environ.setdefault("PROJECT_ID", "millpond-conformance")
os.environ.setdefault("GOOGLE_CLOUD_PROJECT", PROJECT)

# What the real transports allow; the default of 4 MB would refuse what the service may send.
_NO_LIMIT = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def _anonymous(*_args, **_kwargs):
    return google.auth.credentials.AnonymousCredentials(), PROJECT


def _plain_channel(cls, host=None, **_kwargs):
    address = os.environ["BIGQUERY_EMULATOR_HOST"].removeprefix("http://")
    return grpc.insecure_channel(address, options=_NO_LIMIT)


google.auth.default = _anonymous
for _transport in (
    v1_read.BigQueryReadGrpcTransport,
    v1_write.BigQueryWriteGrpcTransport,
    beta_read.BigQueryReadGrpcTransport,
):
    _transport.create_channel = classmethod(_plain_channel)
