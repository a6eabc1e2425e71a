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
        let mut clock = 0;
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let id = libc::pid_t::try_from(self.0)?;
        // SAFETY: both calls get valid pointers to live values of their types.
        let error = unsafe {
            match libc::clock_getcpuclockid(id, &mut clock) {
                0 if libc::clock_gettime(clock, &mut time) == 0 => None,
                0 => Some(io::Error::last_os_error()),
                code => Some(io::Error::from_raw_os_error(code)),
            }
        };
        match error {
            None => Ok(Duration::new(
                time.tv_sec.try_into()?,
                time.tv_nsec.try_into()?,
            )),
            Some(error) => Err(format!("process {}: {error}", self.0).into()),
        }
    }

    /// The same with the processes that it started and that still run.
    pub fn cpu_with_children(self) -> Outcome<Duration> {
        let path = format!("/proc/{0}/task/{0}/children", self.0);
        let children = fs::read_to_string(path)?;
        let mut total = self.cpu()?;
        for child in children.split_whitespace() {
            // One that has ended meanwhile counts no more.
            total += Self(child.parse()?).cpu().unwrap_or_default();
        }
        Ok(total)
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
