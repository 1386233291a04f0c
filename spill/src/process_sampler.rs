//! Reads the size of this process from the operating system. Owns the only questions about it; decides nothing.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::monitor::RssSampler;

/// The real sampler: resident size by way of `sysinfo`, high-water mark from `VmHWM` where there is a Linux `/proc`.
pub struct ProcessSampler {
    /// `None` on systems that tell nothing about processes.
    system: Option<(System, Pid)>,
}

impl ProcessSampler {
    /// A sampler for the calling process.
    pub fn new() -> Self {
        Self {
            system: System::new().ok().zip(sysinfo::get_current_pid().ok()),
        }
    }
}

impl Default for ProcessSampler {
    fn default() -> Self {
        Self::new()
    }
}

impl RssSampler for ProcessSampler {
    fn resident_bytes(&mut self) -> Option<u64> {
        let (system, pid) = self.system.as_mut()?;
        system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&[*pid]),
            false,
            ProcessRefreshKind::nothing().with_memory().without_tasks(),
        );
        Some(system.process(*pid)?.memory())
    }

    fn high_water_bytes(&mut self) -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        high_water_of(&status)
    }
}

/// `VmHWM` of the text of `/proc/<pid>/status`, in bytes (the kernel writes KiB).
fn high_water_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests;
