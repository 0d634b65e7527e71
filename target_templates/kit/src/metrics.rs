//! Tokio's runtime metrics and the request count as Prometheus text.
//!
//! Per-worker values are published by Tokio only when a worker parks or every `event_interval` ticks: take differences
//! over seconds, never over one short interval. What needs `--cfg tokio_unstable` is absent without it, never zero.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tokio::runtime::{Handle, RuntimeFlavor, RuntimeMetrics};

static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Counts a request when it arrives, before the handler sees it.
pub async fn count(request: Request, next: Next) -> Response {
    REQUESTS.fetch_add(1, Ordering::Relaxed);
    next.run(request).await
}

/// Requests that arrived so far.
#[must_use]
pub fn requests() -> u64 {
    REQUESTS.load(Ordering::Relaxed)
}

/// The flavor of a runtime, in the words of the study file.
#[must_use]
pub fn flavor(handle: &Handle) -> &'static str {
    match handle.runtime_flavor() {
        RuntimeFlavor::CurrentThread => "current_thread",
        RuntimeFlavor::MultiThread => "multi_thread",
        _ => "unknown",
    }
}

/// The whole exposition: requests, then every metric of the runtime behind `handle`.
#[must_use]
pub fn exposition(handle: &Handle) -> String {
    let metrics = handle.metrics();
    let mut text = Text::default();
    text.one("http_requests_total", "counter", requests());
    stable(&mut text, &metrics);
    unstable(&mut text, &metrics, handle);
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn one(&mut self, name: &str, kind: &str, value: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# TYPE {name} {kind}\n{name} {value}");
    }

    fn workers<V: std::fmt::Display>(&mut self, name: &str, kind: &str, count: usize, value: impl Fn(usize) -> V) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        for worker in 0..count {
            let _ = writeln!(self.0, "{name}{{worker=\"{worker}\"}} {}", value(worker));
        }
    }
}

fn stable(text: &mut Text, metrics: &RuntimeMetrics) {
    let workers = metrics.num_workers();
    text.one("tokio_workers", "gauge", workers);
    text.one("tokio_alive_tasks", "gauge", metrics.num_alive_tasks());
    text.one("tokio_global_queue_depth", "gauge", metrics.global_queue_depth());
    text.workers("tokio_worker_busy_seconds_total", "counter", workers, |worker| {
        metrics.worker_total_busy_duration(worker).as_secs_f64()
    });
    text.workers("tokio_worker_park_total", "counter", workers, |worker| metrics.worker_park_count(worker));
}

#[cfg(not(tokio_unstable))]
fn unstable(_: &mut Text, _: &RuntimeMetrics, _: &Handle) {}

#[cfg(tokio_unstable)]
fn unstable(text: &mut Text, metrics: &RuntimeMetrics, handle: &Handle) {
    let workers = metrics.num_workers();
    text.one("tokio_blocking_threads", "gauge", metrics.num_blocking_threads());
    text.one("tokio_idle_blocking_threads", "gauge", metrics.num_idle_blocking_threads());
    text.one("tokio_blocking_queue_depth", "gauge", metrics.blocking_queue_depth());
    text.one("tokio_spawned_tasks_total", "counter", metrics.spawned_tasks_count());
    text.one("tokio_remote_schedules_total", "counter", metrics.remote_schedule_count());
    text.one("tokio_budget_forced_yields_total", "counter", metrics.budget_forced_yield_count());
    text.one("tokio_io_ready_total", "counter", metrics.io_driver_ready_count());
    text.one("tokio_io_registered_total", "counter", metrics.io_driver_fd_registered_count());
    text.one("tokio_io_deregistered_total", "counter", metrics.io_driver_fd_deregistered_count());
    text.workers("tokio_worker_polls_total", "counter", workers, |w| metrics.worker_poll_count(w));
    text.workers("tokio_worker_noops_total", "counter", workers, |w| metrics.worker_noop_count(w));
    text.workers("tokio_worker_steals_total", "counter", workers, |w| metrics.worker_steal_count(w));
    text.workers("tokio_worker_steal_operations_total", "counter", workers, |w| metrics.worker_steal_operations(w));
    text.workers("tokio_worker_local_schedules_total", "counter", workers, |w| metrics.worker_local_schedule_count(w));
    text.workers("tokio_worker_overflows_total", "counter", workers, |w| metrics.worker_overflow_count(w));
    text.workers("tokio_worker_local_queue_depth", "gauge", workers, |w| metrics.worker_local_queue_depth(w));
    // Tokio leaves the mean poll time at 0 on current_thread: absent says "not available", 0 would lie.
    if handle.runtime_flavor() == RuntimeFlavor::MultiThread {
        text.workers("tokio_worker_mean_poll_seconds", "gauge", workers, |w| {
            metrics.worker_mean_poll_time(w).as_secs_f64()
        });
    }
}
