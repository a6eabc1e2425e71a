//! What processes exchange with Redis, in bytes, as the kernel counts it for each of their TCP
//! connections: nothing stands between them that would cost time.

use std::{collections::HashMap, process::Command};

use crate::{Outcome, process::Process};

/// Bytes on all connections of one process to one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    connections: u64,
    /// From the process.
    pub sent: u64,
    /// To it.
    pub received: u64,
}

impl Traffic {
    /// What came on top of an earlier reading.
    ///
    /// # Errors
    /// Connections were closed or made in between: their bytes are not known.
    pub fn since(self, earlier: Self) -> Outcome<Self> {
        if self.connections != earlier.connections {
            return Err("connections to Redis changed during the measurement".into());
        }
        let difference = |now: u64, then: u64| now.checked_sub(then).ok_or("bytes went backwards");
        Ok(Self {
            connections: self.connections,
            sent: difference(self.sent, earlier.sent)?,
            received: difference(self.received, earlier.received)?,
        })
    }
}

/// What these processes have exchanged so far with whoever listens on `port`, by `ss`.
pub fn with_port(port: u16, processes: &[Process]) -> Outcome<Vec<Traffic>> {
    let output = Command::new("ss")
        .args(["-tinpHO", "state", "established", "dport", "="])
        .arg(format!(":{port}"))
        .output()
        .map_err(|error| format!("ss of iproute2 is needed: {error}"))?;
    if !output.status.success() {
        return Err(format!("ss: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let found = read(&String::from_utf8(output.stdout)?)?;
    let of = |process: &Process| found.get(&process.0).copied();
    processes
        .iter()
        .map(|process| of(process).ok_or_else(|| format!("process {}: no Redis", process.0).into()))
        .collect()
}

/// Traffic by process, of one connection a line.
fn read(lines: &str) -> Outcome<HashMap<u32, Traffic>> {
    let mut found: HashMap<u32, Traffic> = HashMap::new();
    for line in lines.lines() {
        let number = |name: &str| -> Option<u64> {
            let rest = &line[line.find(name)? + name.len()..];
            let digits = rest.find(|c: char| !c.is_ascii_digit());
            rest[..digits.unwrap_or(rest.len())].parse().ok()
        };
        // Connections of others show no process.
        let Some(process) = number("pid=") else {
            continue;
        };
        let traffic = found.entry(u32::try_from(process)?).or_default();
        traffic.connections += 1;
        // A count that is zero is not shown.
        traffic.sent += number(" bytes_sent:").unwrap_or(0);
        traffic.received += number(" bytes_received:").unwrap_or(0);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_a_process_are_added_up() {
        let lines = "\
0 0 127.0.0.1:1 127.0.0.1:9 users:((\"node\",pid=7,fd=3)) bbr bytes_sent:33 bytes_acked:34 bytes_received:60 segs_out:4
0 0 127.0.0.1:2 127.0.0.1:9 users:((\"node\",pid=7,fd=4)) bbr bytes_sent:100 bytes_acked:101 segs_out:4
0 0 127.0.0.1:3 127.0.0.1:9 users:((\"other\",pid=8,fd=4)) bbr bytes_sent:1 bytes_received:2
0 0 127.0.0.1:4 127.0.0.1:9 bbr bytes_sent:1000
";
        let found = read(lines).unwrap();
        let seven = Traffic {
            connections: 2,
            sent: 133,
            received: 60,
        };
        assert_eq!((found.len(), found[&7]), (2, seven));
        let later = Traffic { sent: 140, ..seven };
        assert_eq!(later.since(seven).unwrap().sent, 7);
        assert!(seven.since(later).is_err() && seven.since(found[&8]).is_err());
    }
}
