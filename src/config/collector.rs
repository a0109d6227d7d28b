//! OpenTelemetry's own variables, as far as they say whether traces are wanted; the exporter reads the rest of them.
//!
//! Start with [`names_trace_collector`].

use std::ffi::OsString;

/// Whether the environment names a collector of traces, and does not switch them off (OpenTelemetry: environment variable
/// specification).
#[must_use]
pub fn names_trace_collector() -> bool {
    is_wanted(|name| std::env::var_os(name))
}

fn is_wanted(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is = |name: &str, expected: &str| variable(name).is_some_and(|value| value.eq_ignore_ascii_case(expected));
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let named = is_set("OTEL_EXPORTER_OTLP_ENDPOINT") || is_set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    named && !is("OTEL_SDK_DISABLED", "true") && !is("OTEL_TRACES_EXPORTER", "none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_wanted_where_a_collector_is_named_and_nothing_forbids_it() {
        let check = |variables: &[(&str, &str)], expected: bool| {
            let found = |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).into());
            assert_eq!(is_wanted(found), expected, "{variables:?}");
        };
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
        check(&[], false);
        check(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")], false);
        check(&[("OTEL_SERVICE_NAME", "calls")], false);
        check(&[endpoint], true);
        check(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:4318/v1/traces")], true);
        check(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")], false);
        check(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")], false);
        check(&[endpoint, ("OTEL_TRACES_EXPORTER", "otlp")], true);
    }
}
