//! The table: medians of repeated reports, two servers side by side, and their ratio.

use std::fmt::Write;

use crate::{Outcome, report::Report};

/// How repetitions become one figure.
enum Pick {
    Median,
    /// For counts that must be zero in every repetition.
    Worst,
}

/// Rows in order: title, scenario, figure, decimals, how to pick.
const ROWS: &[(&str, &str, &str, usize, Pick)] = &[
    ("Idle: connections", "idle", "connections", 0, Pick::Median),
    (
        "  RSS of one, fresh (KiB)",
        "idle",
        "rss_kib_per_connection",
        1,
        Pick::Median,
    ),
    (
        "  pings that each then heard",
        "idle",
        "pings",
        0,
        Pick::Median,
    ),
    (
        "  RSS of one, after pings (KiB)",
        "idle",
        "used_rss_kib_per_connection",
        1,
        Pick::Median,
    ),
    (
        "  RSS of the process before (KiB)",
        "idle",
        "rss_before_kib",
        0,
        Pick::Median,
    ),
    (
        "  CPU of one handshake (us)",
        "idle",
        "cpu_us_per_connection",
        0,
        Pick::Median,
    ),
    (
        "Joined: connections",
        "joined",
        "connections",
        0,
        Pick::Median,
    ),
    (
        "  RSS of one (KiB)",
        "joined",
        "rss_kib_per_connection",
        1,
        Pick::Median,
    ),
    (
        "Fan-out: connections",
        "fanout",
        "connections",
        0,
        Pick::Median,
    ),
    (
        "  deliveries/s",
        "fanout",
        "deliveries_per_s",
        0,
        Pick::Median,
    ),
    (
        "  CPU of one delivery (us)",
        "fanout",
        "cpu_us_per_delivery",
        2,
        Pick::Median,
    ),
    (
        "  delivery p50 (ms)",
        "fanout",
        "delivery_p50_ms",
        2,
        Pick::Median,
    ),
    (
        "  delivery p99 (ms)",
        "fanout",
        "delivery_p99_ms",
        2,
        Pick::Median,
    ),
    (
        "  delivery max (ms)",
        "fanout",
        "delivery_max_ms",
        2,
        Pick::Median,
    ),
    ("  ack p50 (ms)", "fanout", "ack_p50_ms", 2, Pick::Median),
    ("  ack p99 (ms)", "fanout", "ack_p99_ms", 2, Pick::Median),
    ("  lost", "fanout", "lost", 0, Pick::Worst),
    ("  doubled", "fanout", "doubled", 0, Pick::Worst),
    ("  reordered", "fanout", "reordered", 0, Pick::Worst),
    ("  wrong", "fanout", "wrong", 0, Pick::Worst),
    ("Send: connections", "send", "connections", 0, Pick::Median),
    ("  messages acked", "send", "acked", 0, Pick::Median),
    ("  acked/s", "send", "acked_per_s", 0, Pick::Median),
    (
        "  CPU of one message (us)",
        "send",
        "cpu_us_per_message",
        0,
        Pick::Median,
    ),
    ("  ack p50 (ms)", "send", "ack_p50_ms", 2, Pick::Median),
    ("  ack p99 (ms)", "send", "ack_p99_ms", 2, Pick::Median),
    ("  lost", "send", "lost", 0, Pick::Worst),
    ("  doubled", "send", "doubled", 0, Pick::Worst),
    ("  reordered", "send", "reordered", 0, Pick::Worst),
    ("  wrong", "send", "wrong", 0, Pick::Worst),
];

/// Renders reports (one JSON object a line) of one or two servers.
pub fn render(lines: &str) -> Outcome<String> {
    let reports: Vec<Report> = lines
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let mut servers: Vec<&str> = Vec::new();
    for report in &reports {
        if !servers.contains(&report.server.as_str()) {
            servers.push(&report.server);
        }
    }
    let mut out = format!("{:<36}", "");
    for server in &servers {
        write!(out, "{server:>14}")?;
    }
    out.push_str(if servers.len() == 2 {
        "     ratio\n"
    } else {
        "\n"
    });
    for (title, scenario, figure, decimals, pick) in ROWS {
        let values: Vec<Option<f64>> = servers
            .iter()
            .map(|server| value(&reports, server, scenario, figure, pick))
            .collect();
        if values.iter().all(Option::is_none) {
            continue;
        }
        write!(out, "{title:<36}")?;
        for value in &values {
            match value {
                Some(value) => write!(out, "{value:>14.decimals$}")?,
                None => write!(out, "{:>14}", "-")?,
            }
        }
        if let [Some(left), Some(right)] = values[..]
            && matches!(pick, Pick::Median)
            && right != 0.0
        {
            write!(out, "{:>10.2}", left / right)?;
        }
        out.push('\n');
    }
    for report in reports.iter().filter(|report| report.failed > 0) {
        let reason = report.failure.as_deref().unwrap_or_default();
        let Report {
            server,
            scenario,
            failed,
            ..
        } = report;
        writeln!(
            out,
            "{server}, {scenario}: {failed} sends failed, the first: {reason}"
        )?;
    }
    Ok(out)
}

fn value(
    reports: &[Report],
    server: &str,
    scenario: &str,
    figure: &str,
    pick: &Pick,
) -> Option<f64> {
    let mut values: Vec<f64> = reports
        .iter()
        .filter(|report| report.server == server && report.scenario == scenario)
        .filter_map(|report| report.figures.get(figure).copied())
        .collect();
    values.sort_by(f64::total_cmp);
    match pick {
        Pick::Median => values.get(values.len() / 2).copied(),
        Pick::Worst => values.last().copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_worst_are_side_by_side() {
        let line = |server: &str, acked: f64, lost: f64| {
            let mut report = Report::new(server, "send");
            report.set("acked_per_s", acked);
            report.set("lost", lost);
            serde_json::to_string(&report).unwrap()
        };
        let lines = [
            line("A", 10.0, 0.0),
            line("B", 5.0, 0.0),
            line("A", 30.0, 2.0),
            line("B", 4.0, 0.0),
            line("A", 20.0, 0.0),
            line("B", 6.0, 0.0),
        ];
        let table = render(&lines.join("\n")).unwrap();
        let words = |row: &str| -> Vec<String> {
            let line = table
                .lines()
                .find(|line| line.trim_start().starts_with(row))
                .unwrap();
            line.split_whitespace().skip(1).map(str::to_owned).collect()
        };
        assert_eq!(words("acked/s"), ["20", "5", "4.00"]);
        assert_eq!(words("lost"), ["2", "0"]);
    }
}
