"""The spool and its shipping, read when Prometheus asks. Alarm on `unmetered`, `unwritten` and `damaged`, and
before `spool_bytes` is near `spool_quota_bytes`."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.metering.shipper import Shipper
from gateway.metering.spool import Spool


class SpoolCollector(Collector):
    def __init__(self, spool: Spool, shipper: Shipper) -> None:
        self._spool = spool
        self._shipper = shipper

    def collect(self) -> Iterator[Metric]:
        spool, shipper = self._spool, self._shipper
        for name, text, value in (
            ("tollgate_spool_bytes", "Disk that the spool uses, all gateways of its folder together", spool.bytes_used),
            ("tollgate_spool_quota_bytes", "Disk that it may use", spool.settings.quota_bytes),
            ("tollgate_spool_backlog_events", "Events that the disk has refused so far", spool.backlog),
            ("tollgate_spool_open_intents", "Upstream attempts in flight", spool.open_intents),
            ("tollgate_spool_unconfirmed_events", "Sealed events that are not in the ledger yet", shipper.unconfirmed),
            ("tollgate_spool_writable", "1 while calls can be metered", int(spool.writable)),
        ):
            yield GaugeMetricFamily(name, text, value)
        for name, text, count in (
            ("tollgate_spool_events", "Events written", spool.counts.events),
            ("tollgate_spool_refused_calls", "Calls refused because they could not be metered", spool.counts.refused),
            ("tollgate_spool_unmetered_calls", "Calls served without a row", spool.counts.unmetered),
            ("tollgate_spool_unwritten_events", "Events lost for good on this disk", spool.counts.unwritten),
            ("tollgate_spool_damaged_lines", "Lines that a disk has spoilt", shipper.counts.damaged),
            ("tollgate_shipped_events", "Events sent to Redis, repeats included", shipper.counts.shipped),
            ("tollgate_reshipped_segments", "Segments sent again after Redis lost them", shipper.counts.reshipped),
            ("tollgate_shipping_failures", "Shipping attempts that Redis refused", shipper.counts.failures),
            ("tollgate_adopted_spools", "Spools of dead gateways taken over", shipper.counts.adopted),
            ("tollgate_lost_calls", "Calls of dead gateways priced by estimate", shipper.counts.lost),
        ):
            yield CounterMetricFamily(name, text, count)
