//! The processor time of a thread: what one side of a benchmark used, whatever its neighbours did meanwhile.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time of the calling thread so far, in user space and in the kernel.
#[must_use]
pub fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// How many files and sockets this process may have open, after the limit was raised as far as it may be; `None` without limit.
#[must_use]
pub fn open_files() -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        // If it may not be raised, it is as low as it was.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current
}

/// Whether a process may have so many files and sockets open, besides those that it has anyway; if not, what there is to say about it.
///
/// # Errors
/// It may not.
pub fn allows(limit: Option<u64>, files: usize) -> Result<(), String> {
    match limit {
        Some(limit) if files as u64 + OTHER_FILES > limit => Err(format!(
            "it needs {files} open files and some {OTHER_FILES} more, and a process may have {limit} (ulimit -n)"
        )),
        _ => Ok(()),
    }
}

/// Files that a process needs besides: standard ones, runtimes, pipes to others.
const OTHER_FILES: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_of_the_thread_counts() {
        let before = thread_time();
        let other = std::thread::spawn(|| {
            let start = thread_time();
            while thread_time() - start < Duration::from_millis(50) {}
        });
        other.join().unwrap();
        assert!(thread_time() - before < Duration::from_millis(40), "the other thread's work is not ours");
        let start = thread_time();
        while thread_time() == start {}
        assert!(thread_time() > before);
    }

    #[test]
    fn a_process_may_open_files() {
        assert!(open_files().is_none_or(|files| files > 10));
    }

    #[test]
    fn what_needs_more_files_than_there_may_be_is_told() {
        assert_eq!(allows(None, usize::MAX), Ok(()));
        assert_eq!(allows(Some(256), 156), Ok(()));
        let why = "it needs 157 open files and some 100 more, and a process may have 256 (ulimit -n)";
        assert_eq!(allows(Some(256), 157), Err(why.into()));
    }
}
