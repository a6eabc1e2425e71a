//! The state of this process, read from Linux' `/proc` when asked for, under the names that every
//! Prometheus client library uses:
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.
//! Elsewhere there is nothing to read, and nothing is written.

use std::{fmt::Write, fs, path::Path};

/// Clock ticks of `/proc/*/stat` a second: part of the kernel's interface, whatever its own timer
/// does (`USER_HZ`, proc_pid_stat(5)).
const TICKS: f64 = 100.0;

/// Appends what can be read.
pub(super) fn render(text: &mut String) {
    render_from(Path::new("/proc"), text);
}

fn render_from(proc: &Path, text: &mut String) {
    let stat = fs::read_to_string(proc.join("self/stat")).unwrap_or_default();
    // The second field is the program's name in brackets and may itself hold brackets and spaces.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_ascii_whitespace().collect())
        .unwrap_or_default();
    // Numbered from 1 as in proc_pid_stat(5); the first after the name is 3.
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let status = fs::read_to_string(proc.join("self/status")).unwrap_or_default();
    let bytes = |name| Some(value(&status, name)? * 1024.0);
    let limits = fs::read_to_string(proc.join("self/limits")).unwrap_or_default();
    let system = fs::read_to_string(proc.join("stat")).unwrap_or_default();

    let cpu = field(14).zip(field(15)).map(|(u, s)| (u + s) / TICKS);
    let start = field(22)
        .zip(value(&system, "btime"))
        .map(|(ticks, boot)| boot + ticks / TICKS);
    let open = fs::read_dir(proc.join("self/fd")).ok();
    for (name, kind, help, value) in [
        (
            "process_cpu_seconds_total",
            "counter",
            "Processor time spent, in seconds.",
            cpu,
        ),
        (
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory, in bytes.",
            bytes("VmRSS:"),
        ),
        (
            "process_virtual_memory_bytes",
            "gauge",
            "Virtual memory, in bytes.",
            bytes("VmSize:"),
        ),
        (
            "process_open_fds",
            "gauge",
            "Open file descriptors.",
            open.map(|entries| entries.count() as f64),
        ),
        (
            "process_max_fds",
            "gauge",
            "File descriptors that may be open.",
            value(&limits, "Max open files"),
        ),
        (
            "process_start_time_seconds",
            "gauge",
            "When the process started, in seconds since 1970.",
            start,
        ),
    ] {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n"
            );
        }
    }
}

/// The number after a name at a line's start.
fn value(text: &str, name: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_from_the_right_places() {
        let proc = tempfile::tempdir().expect("a folder");
        let own = proc.path().join("self");
        fs::create_dir_all(own.join("fd")).expect("a folder");
        for fd in ["0", "1", "2"] {
            fs::write(own.join("fd").join(fd), "").expect("a file");
        }
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 12345 1 1 1\n";
        fs::write(own.join("stat"), stat).expect("a file");
        fs::write(own.join("status"), "VmSize:\t  20 kB\nVmRSS:\t   10 kB\n").expect("a file");
        let limits = "Limit    Soft    Hard\nMax open files    1024    4096    files\n";
        fs::write(own.join("limits"), limits).expect("a file");
        fs::write(proc.path().join("stat"), "cpu 1 2\nbtime 1000\n").expect("a file");

        let mut text = String::new();
        render_from(proc.path(), &mut text);
        for line in [
            "process_cpu_seconds_total 2",
            "process_resident_memory_bytes 10240",
            "process_virtual_memory_bytes 20480",
            "process_open_fds 3",
            "process_max_fds 1024",
            "process_start_time_seconds 1123.45",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn nothing_to_read_is_nothing_written() {
        let mut text = String::new();
        render_from(Path::new("/nonexistent"), &mut text);
        assert_eq!(text, "");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_all_of_them() {
        let mut text = String::new();
        render(&mut text);
        assert_eq!(text.matches("# TYPE process_").count(), 6, "{text}");
    }
}
