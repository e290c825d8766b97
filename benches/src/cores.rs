//! Processors and processes, as the system tells them. On other systems than Linux nothing is told, and the answer says so.

#[cfg(target_os = "linux")]
mod told {
    use std::time::Duration;

    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
    use nix::unistd::Pid;

    /// The processors that this thread may use.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn allowed() -> Result<Vec<usize>, String> {
        let set = sched_getaffinity(Pid::from_raw(0)).map_err(|error| error.to_string())?;
        Ok((0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false)).collect())
    }

    /// Keeps this thread, and those that it starts from now on, on one processor.
    ///
    /// # Errors
    /// It may not use that one.
    pub fn stay_on(core: usize) -> Result<(), String> {
        let mut set = CpuSet::new();
        set.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set)).map_err(|error| error.to_string())
    }

    /// The CPU time that all threads of a process have used, in user and system mode.
    ///
    /// # Errors
    /// There is none, or it is another user's.
    pub fn cpu_time(process: u32) -> Result<Duration, String> {
        let pid = Pid::from_raw(i32::try_from(process).map_err(|error| error.to_string())?);
        let clock: ClockId = clock_getcpuclockid(pid).map_err(|error| error.to_string())?;
        clock_gettime(clock).map(Duration::from).map_err(|error| error.to_string())
    }

    /// How much of a process's memory in use is its own (`RssAnon`: heap and stacks, no code, no files), in bytes.
    ///
    /// # Errors
    /// There is none, or it is another user's.
    pub fn own_memory(process: u32) -> Result<u64, String> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).map_err(|error| error.to_string())?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
        let kilobytes: u64 =
            line.trim().trim_end_matches("kB").trim().parse().map_err(|_| format!("RssAnon {line:?}"))?;
        Ok(kilobytes * 1024)
    }
}

#[cfg(not(target_os = "linux"))]
mod told {
    use std::time::Duration;

    const UNTOLD: &str = "only Linux tells this";

    /// The processors that this thread may use.
    ///
    /// # Errors
    /// Always.
    pub fn allowed() -> Result<Vec<usize>, String> {
        Err(UNTOLD.into())
    }

    /// Keeps this thread on one processor.
    ///
    /// # Errors
    /// Always.
    pub fn stay_on(_core: usize) -> Result<(), String> {
        Err(UNTOLD.into())
    }

    /// The CPU time that a process has used.
    ///
    /// # Errors
    /// Always.
    pub fn cpu_time(_process: u32) -> Result<Duration, String> {
        Err(UNTOLD.into())
    }

    /// A process's own memory.
    ///
    /// # Errors
    /// Always.
    pub fn own_memory(_process: u32) -> Result<u64, String> {
        Err(UNTOLD.into())
    }
}

pub use told::{allowed, cpu_time, own_memory, stay_on};
