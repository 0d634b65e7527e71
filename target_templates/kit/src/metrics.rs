//! Tokio's runtime metrics and the request count as Prometheus text.
//!
//! Per-worker values are published by Tokio only when a worker parks or every `event_interval` ticks: take differences
//! over seconds, never over one short interval. What needs `--cfg tokio_unstable` is absent without it, never zero.

use std::fmt::{Display, Write as _};

use tokio::runtime::{Handle, RuntimeFlavor, RuntimeMetrics};

/// The flavor of the runtimes under test, in the words of a study file.
pub fn flavor(handles: &[Handle]) -> &'static str {
    let [one] = handles else { return "thread_per_core" };
    match one.runtime_flavor() {
        RuntimeFlavor::CurrentThread => "current_thread",
        RuntimeFlavor::MultiThread => "multi_thread",
        _ => "unknown",
    }
}

/// What the service counts of its own traffic.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Requests that reached the router.
    pub requests: u64,
    /// Connections that were accepted.
    pub connections: u64,
}

/// Worker threads of all the runtimes.
pub fn workers(handles: &[Handle]) -> usize {
    handles.iter().map(|handle| handle.metrics().num_workers()).sum()
}

/// The whole exposition: `traffic`, then every metric of the runtimes behind `handles`.
///
/// Of several runtimes numbers are summed, and their workers are counted through.
pub fn exposition(traffic: Traffic, handles: &[Handle]) -> String {
    let metrics = handles.iter().map(Handle::metrics).collect();
    let mut text = Text { out: String::with_capacity(8192), metrics };
    text.one("http_requests_total", "counter", traffic.requests);
    text.one("http_connections_total", "counter", traffic.connections);
    text.stable();
    #[cfg(tokio_unstable)]
    {
        text.unstable();
        // Tokio leaves the mean poll time at 0 on current_thread: absent says "not available", 0 would be a lie.
        if handles.iter().all(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread) {
            text.mean_poll_time();
        }
        text.histograms();
    }
    text.out
}

struct Text {
    out: String,
    metrics: Vec<RuntimeMetrics>,
}

impl Text {
    fn stable(&mut self) {
        self.gauge("tokio_workers", |m| m.num_workers() as u64);
        self.gauge("tokio_alive_tasks", |m| m.num_alive_tasks() as u64);
        self.gauge("tokio_global_queue_depth", |m| m.global_queue_depth() as u64);
        self.workers("tokio_worker_busy_seconds_total", "counter", |m, worker| {
            m.worker_total_busy_duration(worker).as_secs_f64()
        });
        self.workers("tokio_worker_parks_total", "counter", RuntimeMetrics::worker_park_count);
        self.workers("tokio_worker_park_unparks_total", "counter", RuntimeMetrics::worker_park_unpark_count);
    }

    #[cfg(tokio_unstable)]
    fn unstable(&mut self) {
        self.gauge("tokio_blocking_threads", |m| m.num_blocking_threads() as u64);
        self.gauge("tokio_idle_blocking_threads", |m| m.num_idle_blocking_threads() as u64);
        self.gauge("tokio_blocking_queue_depth", |m| m.blocking_queue_depth() as u64);
        self.counter("tokio_spawned_tasks_total", RuntimeMetrics::spawned_tasks_count);
        self.counter("tokio_remote_schedules_total", RuntimeMetrics::remote_schedule_count);
        self.counter("tokio_budget_forced_yields_total", RuntimeMetrics::budget_forced_yield_count);
        self.counter("tokio_io_ready_total", RuntimeMetrics::io_driver_ready_count);
        self.counter("tokio_io_registered_total", RuntimeMetrics::io_driver_fd_registered_count);
        self.counter("tokio_io_deregistered_total", RuntimeMetrics::io_driver_fd_deregistered_count);
        self.workers("tokio_worker_polls_total", "counter", RuntimeMetrics::worker_poll_count);
        self.workers("tokio_worker_noops_total", "counter", RuntimeMetrics::worker_noop_count);
        self.workers("tokio_worker_steals_total", "counter", RuntimeMetrics::worker_steal_count);
        self.workers("tokio_worker_steal_operations_total", "counter", RuntimeMetrics::worker_steal_operations);
        self.workers("tokio_worker_local_schedules_total", "counter", RuntimeMetrics::worker_local_schedule_count);
        self.workers("tokio_worker_overflows_total", "counter", RuntimeMetrics::worker_overflow_count);
        self.workers("tokio_worker_local_queue_depth", "gauge", RuntimeMetrics::worker_local_queue_depth);
    }

    #[cfg(tokio_unstable)]
    fn mean_poll_time(&mut self) {
        self.workers("tokio_worker_mean_poll_seconds", "gauge", |m, worker| {
            m.worker_mean_poll_time(worker).as_secs_f64()
        });
    }

    /// The histogram of poll times where the runtime was built with it: counts by worker and bucket, each with its bound.
    #[cfg(tokio_unstable)]
    fn histograms(&mut self) {
        // Every runtime is built alike, so the first one speaks for all.
        let enabled = self.metrics.first().filter(|metrics| metrics.poll_time_histogram_enabled());
        if let Some(buckets) = enabled.map(RuntimeMetrics::poll_time_histogram_num_buckets) {
            self.buckets("tokio_worker_polls_by_time_total", buckets, |m, worker, bucket| {
                let upper = m.poll_time_histogram_bucket_range(bucket).end;
                (upper, m.poll_time_histogram_bucket_count(worker, bucket))
            });
        }
    }

    #[cfg(tokio_unstable)]
    fn buckets(
        &mut self,
        name: &str,
        buckets: usize,
        of: impl Fn(&RuntimeMetrics, usize, usize) -> (std::time::Duration, u64),
    ) {
        let _ = writeln!(self.out, "# TYPE {name} counter");
        for (number, (metrics, worker)) in each_worker(&self.metrics).enumerate() {
            for bucket in 0..buckets {
                let (upper, count) = of(metrics, worker, bucket);
                let below = if bucket + 1 == buckets { "+Inf".to_owned() } else { upper.as_secs_f64().to_string() };
                let _ = writeln!(self.out, "{name}{{worker=\"{number}\",below=\"{below}\"}} {count}");
            }
        }
    }

    fn gauge(&mut self, name: &str, value: impl Fn(&RuntimeMetrics) -> u64) {
        self.one(name, "gauge", self.metrics.iter().map(value).sum());
    }

    fn counter(&mut self, name: &str, value: impl Fn(&RuntimeMetrics) -> u64) {
        self.one(name, "counter", self.metrics.iter().map(value).sum());
    }

    fn one(&mut self, name: &str, kind: &str, value: u64) {
        // Writing to a String cannot fail; here and below.
        let _ = writeln!(self.out, "# TYPE {name} {kind}\n{name} {value}");
    }

    fn workers<V: Display>(&mut self, name: &str, kind: &str, value: impl Fn(&RuntimeMetrics, usize) -> V) {
        let _ = writeln!(self.out, "# TYPE {name} {kind}");
        for (number, (metrics, worker)) in each_worker(&self.metrics).enumerate() {
            let _ = writeln!(self.out, "{name}{{worker=\"{number}\"}} {}", value(metrics, worker));
        }
    }
}

/// The workers of all the runtimes, each as the metrics of its runtime and its index there.
fn each_worker(metrics: &[RuntimeMetrics]) -> impl Iterator<Item = (&RuntimeMetrics, usize)> {
    metrics.iter().flat_map(|metrics| (0..metrics.num_workers()).map(move |worker| (metrics, worker)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::runtime::Builder;

    use super::*;

    /// The samples of an exposition by family, each family under one TYPE line of its own; anything else fails.
    fn families(text: &str) -> BTreeMap<String, Vec<f64>> {
        let mut families = BTreeMap::new();
        let mut current = "";
        for line in text.lines() {
            if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, kind) = declared.split_once(' ').unwrap();
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(families.insert(name.to_owned(), Vec::new()).is_none(), "declared twice: {line}");
                current = name;
                continue;
            }
            let (series, value) = line.split_once(' ').unwrap();
            assert_eq!(series.split('{').next(), Some(current), "{line}");
            families.get_mut(current).unwrap().push(value.parse().unwrap());
        }
        families
    }

    #[test]
    fn every_worker_has_a_sample_in_every_worker_family() {
        let runtime = Builder::new_multi_thread().worker_threads(3).build().unwrap();

        let families = families(&exposition(Traffic { requests: 7, connections: 3 }, &[runtime.handle().clone()]));

        assert_eq!(families["http_requests_total"], [7.0]);
        assert_eq!(families["http_connections_total"], [3.0]);
        assert_eq!(families["tokio_workers"], [3.0]);
        for (name, samples) in &families {
            assert_eq!(samples.len(), if name.starts_with("tokio_worker_") { 3 } else { 1 }, "{name}");
        }
    }

    #[test]
    #[cfg(tokio_unstable)]
    fn several_runtimes_are_summed_and_their_workers_counted_through() {
        let runtimes = [(); 3].map(|()| Builder::new_current_thread().build().unwrap());
        for runtime in &runtimes {
            runtime.block_on(async { tokio::spawn(async {}).await.unwrap() });
        }

        let text = exposition(Traffic::default(), &runtimes.each_ref().map(|runtime| runtime.handle().clone()));

        assert_eq!(families(&text)["tokio_workers"], [3.0]);
        assert_eq!(families(&text)["tokio_spawned_tasks_total"], [3.0]);
        assert_eq!(families(&text)["tokio_worker_polls_total"].len(), 3);
        assert!(text.contains("tokio_worker_polls_total{worker=\"2\"} "), "{text}");
    }

    #[test]
    fn the_stable_six_are_there() {
        let runtime = Builder::new_current_thread().build().unwrap();

        let families = families(&exposition(Traffic::default(), &[runtime.handle().clone()]));

        for name in [
            "tokio_workers",
            "tokio_alive_tasks",
            "tokio_global_queue_depth",
            "tokio_worker_busy_seconds_total",
            "tokio_worker_parks_total",
        ] {
            assert!(families.contains_key(name), "{name}");
        }
    }

    #[test]
    #[cfg(tokio_unstable)]
    fn the_mean_poll_time_of_a_current_thread_runtime_is_absent() {
        let multi = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let current = Builder::new_current_thread().build().unwrap();

        assert!(exposition(Traffic::default(), &[multi.handle().clone()]).contains("tokio_worker_mean_poll_seconds"));
        assert!(
            !exposition(Traffic::default(), &[current.handle().clone()]).contains("tokio_worker_mean_poll_seconds")
        );
    }

    #[test]
    #[cfg(tokio_unstable)]
    fn what_the_runtime_did_is_counted() {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            tokio::spawn(async {}).await.unwrap();
            tokio::task::spawn_blocking(|| ()).await.unwrap();
        });

        let families = families(&exposition(Traffic::default(), &[runtime.handle().clone()]));

        assert_eq!(families["tokio_spawned_tasks_total"], [1.0]);
        assert_eq!(families["tokio_blocking_threads"], [1.0]);
    }

    #[test]
    #[cfg(tokio_unstable)]
    fn a_histogram_is_there_when_the_runtime_has_it_and_counts_every_poll() {
        let with = Builder::new_multi_thread().worker_threads(1).enable_metrics_poll_time_histogram().build().unwrap();
        let without = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        with.block_on(async { tokio::spawn(async {}).await.unwrap() });

        let families = families(&exposition(Traffic::default(), &[with.handle().clone()]));

        assert!(families["tokio_worker_polls_by_time_total"].len() > 1);
        assert!(!exposition(Traffic::default(), &[without.handle().clone()]).contains("polls_by_time"));
    }

    #[test]
    fn a_flavor_has_the_name_that_studies_use() {
        let multi = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let current = Builder::new_current_thread().build().unwrap();

        let handles = [multi, current].map(|runtime| runtime.handle().clone());

        assert_eq!(handles.each_ref().map(|one| flavor(std::slice::from_ref(one))), ["multi_thread", "current_thread"]);
        assert_eq!(flavor(&handles), "thread_per_core");
    }
}
