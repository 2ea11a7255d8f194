//! The text formats of metrics. Prometheus accepts OpenMetrics. Programs that do not accept
//! OpenMetrics get the older text format of Prometheus.

use std::fmt::{Error, Write as _};

/// The content type of OpenMetrics.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The content type of the older text format.
pub(crate) const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Converts OpenMetrics into the older text format. In the older format, the `HELP` and `TYPE` lines of a metric
/// contain the same name as its samples, for example `…_total` for a counter. The type `info` becomes `gauge`,
/// the type `unknown` becomes `untyped`, and there are neither units nor an end marker.
pub(crate) fn plain(open_metrics: &str) -> Result<String, Error> {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), words) => help = Some((name, words)),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (ending, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    kind => ("", kind),
                };
                if let Some((_, help)) = help.take().filter(|(helped, _)| *helped == name) {
                    writeln!(text, "# HELP {name}{ending} {}", help.unwrap_or_default())?;
                }
                writeln!(text, "# TYPE {name}{ending} {kind}")?;
            }
            (Some("#"), ..) => {}
            _ => writeln!(text, "{line}")?,
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_are_converted_into_the_older_format() {
        let open_metrics = "\
# HELP build The version.
# TYPE build info
build_info{version=\"1\"} 1
# HELP sent_bytes What was sent.
# TYPE sent_bytes counter
# UNIT sent_bytes bytes
sent_bytes_total 7
# HELP took_seconds How long.
# TYPE took_seconds histogram
# UNIT took_seconds seconds
took_seconds_bucket{le=\"+Inf\"} 1
# EOF
";
        let expected = "\
# HELP build_info The version.
# TYPE build_info gauge
build_info{version=\"1\"} 1
# HELP sent_bytes_total What was sent.
# TYPE sent_bytes_total counter
sent_bytes_total 7
# HELP took_seconds How long.
# TYPE took_seconds histogram
took_seconds_bucket{le=\"+Inf\"} 1
";
        assert_eq!(plain(open_metrics).expect("a conversion"), expected);
    }
}
