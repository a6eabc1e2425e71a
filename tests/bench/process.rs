//! The server's whole process as the kernel sees it, and this process's own limits.

use std::{fs, io, time::Duration};

use crate::Outcome;

/// A process on this machine.
#[derive(Clone, Copy)]
pub struct Process(pub u32);

impl Process {
    /// Resident memory in KiB (`VmRSS`).
    pub fn rss_kib(self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))
            .map_err(|error| format!("process {}: {error}", self.0))?;
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .ok_or("no VmRSS")?;
        Ok(value.parse()?)
    }

    /// CPU time that all its threads used so far, in user and in system mode.
    pub fn cpu(self) -> Outcome<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))
            .map_err(|error| format!("process {}: {error}", self.0))?;
        // The command's name may contain anything, so that fields are counted after its bracket:
        // utime and stime are fields 14 and 15, state (3) is the first after it.
        let (_, fields) = stat.rsplit_once(')').ok_or("no command name")?;
        let mut fields = fields.split_whitespace().skip(11);
        let mut ticks = 0u64;
        for _ in 0..2 {
            ticks += fields.next().ok_or("a short stat line")?.parse::<u64>()?;
        }
        Ok(Duration::from_secs_f64(ticks as f64 / ticks_per_second()))
    }

    /// Resident memory once it has stopped moving: three readings in a row within half a percent, or
    /// the last of 40 readings half a second apart.
    pub async fn settled_rss_kib(self) -> Outcome<u64> {
        let mut steady = 0;
        let mut last = self.rss_kib()?;
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let now = self.rss_kib()?;
            steady = if now.abs_diff(last) * 200 <= last {
                steady + 1
            } else {
                0
            };
            last = now;
            if steady == 3 {
                break;
            }
        }
        Ok(last)
    }
}

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf only reads a constant of the system.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

/// Raises this process's limit of open files as far as it may go, and returns it.
pub fn raise_file_limit() -> Outcome<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: both calls get a valid pointer to a live rlimit.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return Err(io::Error::last_os_error().into());
        }
        limit.rlim_cur = limit.rlim_max;
        if libc::setrlimit(libc::RLIMIT_NOFILE, &limit) != 0 {
            return Err(io::Error::last_os_error().into());
        }
    }
    Ok(limit.rlim_cur)
}
