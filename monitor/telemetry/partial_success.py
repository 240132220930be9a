"""Hears how many spans a trace collector left out of a batch that it took: OTLP calls that partial success."""

from contextlib import suppress
from typing import Any

import requests
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse


class Rejections:
    """What the answers over `session` say. The exporter itself does not read them."""

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.hooks["response"].append(self._hear)
        self._rejected = 0

    def take(self, at_most: int) -> int:
        """How many spans were left out since the last call, of a batch of `at_most`."""
        rejected, self._rejected = self._rejected, 0
        return min(max(rejected, 0), at_most)

    def _hear(self, answer: requests.Response, *_: Any, **__: Any) -> None:
        if answer.ok:
            with suppress(DecodeError):  # then it says nothing
                told = ExportTraceServiceResponse.FromString(answer.content)
                self._rejected = told.partial_success.rejected_spans
