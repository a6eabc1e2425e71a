//! The table: medians of repeated reports, two servers side by side, and their ratio.

use std::fmt::Write;

use crate::{Outcome, report::Report};

/// How repetitions become one figure.
enum Pick {
    Median,
    /// For counts that must be zero in every repetition.
    Worst,
}

/// A row: title, figure, decimals, how to pick.
type Row = (&'static str, &'static str, usize, Pick);

/// A row of zeros, or something is wrong.
const fn fault(name: &'static str) -> Row {
    (name, name, 0, Pick::Worst)
}

/// A median.
const fn row(title: &'static str, figure: &'static str, decimals: usize) -> Row {
    (title, figure, decimals, Pick::Median)
}

/// Sections in order: title, scenario, rows. The first row stands beside the title.
const SECTIONS: &[(&str, &str, &[Row])] = &[
    (
        "Idle",
        "idle",
        &[
            row("connections", "connections", 0),
            row("RSS of one, fresh (KiB)", "rss_kib_per_connection", 1),
            row("pings that each then heard", "pings", 0),
            row(
                "RSS of one, after pings (KiB)",
                "used_rss_kib_per_connection",
                1,
            ),
            row("RSS of the process before (KiB)", "rss_before_kib", 0),
            row("CPU of one handshake (us)", "cpu_us_per_connection", 0),
        ],
    ),
    (
        "Joined",
        "joined",
        &[
            row("connections", "connections", 0),
            row("RSS of one (KiB)", "rss_kib_per_connection", 1),
        ],
    ),
    (
        "Fan-out",
        "fanout",
        &[
            row("connections", "connections", 0),
            row("deliveries/s", "deliveries_per_s", 0),
            row("CPU of one delivery (us)", "cpu_us_per_delivery", 2),
            row("delivery p50 (ms)", "delivery_p50_ms", 2),
            row("delivery p99 (ms)", "delivery_p99_ms", 2),
            row("delivery max (ms)", "delivery_max_ms", 2),
            row("ack p50 (ms)", "ack_p50_ms", 2),
            row("ack p99 (ms)", "ack_p99_ms", 2),
            fault("lost"),
            fault("doubled"),
            fault("reordered"),
            fault("wrong"),
        ],
    ),
    (
        "Send",
        "send",
        &[
            row("connections", "connections", 0),
            row("messages acked", "acked", 0),
            row("acked/s", "acked_per_s", 0),
            row("CPU of one message (us)", "cpu_us_per_message", 0),
            row("ack p50 (ms)", "ack_p50_ms", 2),
            row("ack p99 (ms)", "ack_p99_ms", 2),
            fault("lost"),
            fault("doubled"),
            fault("reordered"),
            fault("wrong"),
        ],
    ),
    ("Growth, 1 node", "growth-1", GROWTH),
    ("Growth, 2 nodes", "growth-2", GROWTH),
    ("Growth, 4 nodes", "growth-4", GROWTH),
    ("Across nodes, 50/s", "across-50", ACROSS),
    ("Across nodes, 200/s", "across-200", ACROSS),
];

const GROWTH: &[Row] = &[
    row("deliveries/s", "deliveries_per_s", 0),
    row("host: CPU per delivery (us)", "host_cpu_us_per_delivery", 2),
    row("host: CPU per message (us)", "host_cpu_us_per_message", 0),
    row("host: bytes to Redis", "host_sent_bytes_per_message", 0),
    row(
        "host: bytes from Redis",
        "host_received_bytes_per_message",
        0,
    ),
    row("bystander: CPU (us)", "other_cpu_us_per_message", 2),
    row(
        "bystander: bytes to Redis",
        "other_sent_bytes_per_message",
        1,
    ),
    row(
        "bystander: bytes from Redis",
        "other_received_bytes_per_message",
        1,
    ),
    row("bystander, idle: CPU (us/s)", "other_idle_cpu_us_per_s", 0),
    row("bystander, idle: bytes/s", "other_idle_bytes_per_s", 0),
    row("Redis: CPU (us)", "redis_cpu_us_per_message", 1),
    row("PostgreSQL: CPU (us)", "postgres_cpu_us_per_message", 0),
    row("delivery p50 (ms)", "delivery_p50_ms", 2),
    row("delivery p99 (ms)", "delivery_p99_ms", 2),
    fault("lost"),
    fault("doubled"),
    fault("reordered"),
    fault("wrong"),
];

const ACROSS: &[Row] = &[
    row("deliveries/s", "deliveries_per_s", 0),
    row("to the other node p50 (ms)", "across_p50_ms", 2),
    row("to the other node p99 (ms)", "across_p99_ms", 2),
    row("to the other node max (ms)", "across_max_ms", 2),
    row("to the same node p50 (ms)", "delivery_p50_ms", 2),
    row("to the same node p99 (ms)", "delivery_p99_ms", 2),
    row("ack p50 (ms)", "ack_p50_ms", 2),
    row("ack p99 (ms)", "ack_p99_ms", 2),
    row(
        "both nodes: CPU/delivery (us)",
        "host_cpu_us_per_delivery",
        2,
    ),
    row("Redis: CPU (us)", "redis_cpu_us_per_message", 1),
    row("PostgreSQL: CPU (us)", "postgres_cpu_us_per_message", 0),
    fault("lost"),
    fault("doubled"),
    fault("reordered"),
    fault("wrong"),
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
    let rows = SECTIONS.iter().flat_map(|(section, scenario, rows)| {
        let numbered = rows.iter().enumerate();
        numbered.map(move |(index, row)| match index {
            0 => (format!("{section}: {}", row.0), scenario, row),
            _ => (format!("  {}", row.0), scenario, row),
        })
    });
    for (title, scenario, (_, figure, decimals, pick)) in rows {
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
