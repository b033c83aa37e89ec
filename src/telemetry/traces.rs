//! Traces, sent by OTLP over HTTP.
//!
//! A client's trace (`traceparent`, by W3C's Trace Context) goes through the job's row to the daemon that runs the job, and
//! to the jobs that follow. It is passed on even if this process sends no traces.

use std::sync::OnceLock;

use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::{TraceContextExt, TracerProvider},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, Tracer},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Builds a tracer that sends to this address.
pub(super) fn tracer(endpoint: &str) -> Result<Tracer, String> {
    crate::http_client::prepare();
    let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).build();
    let exporter = exporter.map_err(|error| error.to_string())?;
    let resource = Resource::builder()
        .with_service_name("shopkeeper")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let tracer = provider.tracer("shopkeeper");
    // A second start in one process (tests) keeps the first.
    let _ = PROVIDER.set(provider);
    Ok(tracer)
}

/// Sends the remaining spans.
pub fn flush() {
    if let Some(provider) = PROVIDER.get() {
        // They are lost if the receiver is down.
        let _ = provider.force_flush();
    }
}

/// Makes a span the child of a `traceparent`, or links it, for later runs of a failed job. Ignores an invalid one.
pub fn follow(span: &Span, traceparent: Option<&str>, is_first: bool) {
    let Some(traceparent) = traceparent else { return };
    let context = TraceContextPropagator::new().extract(&Header(traceparent));
    let named = context.span().span_context().clone();
    if named.is_valid() && is_first {
        // It fails if no traces are sent.
        let _ = span.set_parent(context);
    } else if named.is_valid() {
        span.add_link(named);
    }
}

/// Returns the `traceparent` of a span, or its parent's if no traces are sent.
pub fn traceparent(span: &Span, parent: Option<&str>) -> Option<String> {
    let mut written = FieldText::default();
    TraceContextPropagator::new().inject_context(&span.context(), &mut written);
    written.0.or_else(|| parent.filter(|parent| is_traceparent(parent)).map(str::to_owned))
}

fn is_traceparent(text: &str) -> bool {
    let context: Context = TraceContextPropagator::new().extract(&Header(text));
    context.span().span_context().is_valid()
}

struct Header<'a>(&'a str);

impl Extractor for Header<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

#[derive(Default)]
struct FieldText(Option<String>);

impl Injector for FieldText {
    fn set(&mut self, key: &str, value: String) {
        if key == "traceparent" {
            self.0 = Some(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_that_came_is_handed_on_where_nothing_is_sent_and_nonsense_is_not() {
        let came = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(traceparent(&Span::none(), Some(came)).as_deref(), Some(came));
        for wrong in ["", "00-0-0-01", "x", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
            assert_eq!(traceparent(&Span::none(), Some(wrong)), None, "{wrong}");
        }
    }
}
