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
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_high_water_line_is_read_in_kib() {
        let status = "Name:\tx\nVmPeak:\t  99 kB\nVmHWM:\t     812 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(high_water_of(status), Some(812 * 1024));
        assert_eq!(high_water_of("Name:\tx\n"), None);
        assert_eq!(high_water_of("VmHWM: many kB\n"), None);
    }

    #[test]
    fn touched_memory_is_seen() {
        let mut sampler = ProcessSampler::new();
        let before = sampler.resident_bytes().unwrap();
        let block = std::hint::black_box(vec![1u8; 96 << 20]);
        let after = sampler.resident_bytes().unwrap();
        assert!(after >= before + (64 << 20), "{before} {after}");
        if cfg!(target_os = "linux") {
            assert!(sampler.high_water_bytes().unwrap() >= before + (64 << 20));
        }
        drop(block);
    }
}
