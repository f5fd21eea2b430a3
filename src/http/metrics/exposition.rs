//! Metrics as Prometheus reads them, in its own text format or in `OpenMetrics`. The one place that
//! knows `prometheus-client`.
use crate::telemetry::{BOUNDS_S, Durations};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet, prometheus_text,
    text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;

/// What a label set is written from.
type Labels = Vec<(&'static str, String)>;

/// Metrics of one moment.
#[derive(Debug, Default)]
pub(in crate::http) struct Exposition(Vec<Family>);

#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    samples: Vec<(LabelSet, Value)>,
}

#[derive(Debug)]
struct LabelSet(Labels);

/// The value of one sample.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    Whole(u64),
    Real(f64),
    Histogram(Durations),
}

impl From<u64> for Value {
    fn from(it: u64) -> Self {
        Self::Whole(it)
    }
}

impl From<usize> for Value {
    fn from(it: usize) -> Self {
        Self::Whole(it as u64)
    }
}

impl From<bool> for Value {
    fn from(it: bool) -> Self {
        Self::Whole(it.into())
    }
}

impl From<f64> for Value {
    fn from(it: f64) -> Self {
        Self::Real(it)
    }
}

impl Exposition {
    /// A number that goes up and down.
    pub(super) fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        value: impl Into<Value>,
    ) {
        self.gauges(name, help, [(vec![], value)]);
    }

    /// Several of one name.
    pub(super) fn gauges<V: Into<Value>>(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) {
        self.family(name, help, MetricType::Gauge, samples);
    }

    /// A number that only goes up. Its samples are called `{name}_total`.
    pub(super) fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        value: impl Into<Value>,
    ) {
        self.counters(name, help, [(vec![], value)]);
    }

    /// Several of one name.
    pub(super) fn counters<V: Into<Value>>(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) {
        self.family(name, help, MetricType::Counter, samples);
    }

    /// Durations in seconds.
    pub(super) fn histograms(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, Durations)>,
    ) {
        let samples = samples.into_iter();
        let samples = samples.map(|(labels, durations)| (labels, Value::Histogram(durations)));
        self.family(name, help, MetricType::Histogram, samples);
    }

    fn family<V: Into<Value>>(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: MetricType,
        samples: impl IntoIterator<Item = (Labels, V)>,
    ) {
        let samples = samples.into_iter();
        let samples = samples.map(|(labels, value)| (LabelSet(labels), value.into()));
        self.0.push(Family {
            name,
            help,
            kind,
            samples: samples.collect(),
        });
    }

    /// The text, in `OpenMetrics` where that is wanted.
    ///
    /// # Errors
    /// When the encoder refuses a value.
    pub(in crate::http) fn write(self, is_open_metrics: bool) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut written = String::new();
        match is_open_metrics {
            true => text::encode(&mut written, &registry)?,
            false => prometheus_text::encode(&mut written, &registry)?,
        }
        Ok(written)
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let mut metric =
                encoder.encode_descriptor(family.name, family.help, None, family.kind)?;
            for (labels, value) in &family.samples {
                value.encode(family.kind, metric.encode_family(labels)?)?;
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(&self, kind: MetricType, mut metric: MetricEncoder<'_>) -> fmt::Result {
        match (self, kind) {
            (Self::Histogram(durations), _) => {
                let bounds = BOUNDS_S.into_iter().chain([f64::INFINITY]);
                let buckets: Vec<(f64, u64)> = bounds.zip(durations.buckets).collect();
                let (sum, count) = (durations.seconds(), durations.count());
                metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            }
            (Self::Whole(it), MetricType::Counter) => {
                metric.encode_counter::<NoLabelSet, u64, f64>(it, None)
            }
            (Self::Real(it), MetricType::Counter) => {
                metric.encode_counter::<NoLabelSet, f64, f64>(it, None)
            }
            (Self::Whole(it), _) => metric.encode_gauge(it),
            (Self::Real(it), _) => metric.encode_gauge(it),
        }
    }
}

impl EncodeLabelSet for LabelSet {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }
}
